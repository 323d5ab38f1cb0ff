"""Bits and bytes for kernels: what numba has no word for and a processor does in one instruction."""

from __future__ import annotations

from typing import Any

from llvmlite import ir  # type: ignore[import-untyped]
from numba import types
from numba.extending import intrinsic

_WORD = ir.IntType(64)


def _address(context: Any, builder: Any, sig: Any, args: Any) -> Any:
    """Address of the 8 bytes at an offset (args[1]) into a uint8 array (args[0])."""
    array = context.make_array(sig.args[0])(context, builder, args[0])
    return builder.bitcast(builder.gep(array.data, [args[1]]), _WORD.as_pointer())


@intrinsic
def store_word(typing: Any, out: Any, at: Any, word: Any) -> Any:  # noqa: ARG001 - numba's signature
    """Write a uint64 big-endian to `out[at : at + 8]` (uint8), at any alignment and without a bounds check."""

    def generate(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        stored = builder.store(builder.bswap(args[2]), _address(context, builder, sig, args))
        stored.align = 1
        return context.get_dummy_value()

    return types.void(out, types.int64, types.uint64), generate


@intrinsic
def load_word(typing: Any, data: Any, at: Any) -> Any:  # noqa: ARG001 - numba's signature
    """Read `data[at : at + 8]` (uint8) as a big-endian uint64, at any alignment and without a bounds check."""

    def generate(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        loaded = builder.load(_address(context, builder, sig, args))
        loaded.align = 1
        return builder.bswap(loaded)

    return types.uint64(data, types.int64), generate


@intrinsic
def leading_zeros(typing: Any, word: Any) -> Any:  # noqa: ARG001 - numba's signature
    """Number of zero bits before the first one of a uint64; 64 when there is none."""

    def generate(context: Any, builder: Any, sig: Any, args: Any) -> Any:  # noqa: ARG001 - numba's signature
        return builder.ctlz(args[0], ir.Constant(ir.IntType(1), 0))

    return types.int64(types.uint64), generate


@intrinsic
def swapped(typing: Any, value: Any) -> Any:  # noqa: ARG001 - numba's signature
    """An unsigned integer with its bytes in the other order; same type."""

    def generate(context: Any, builder: Any, sig: Any, args: Any) -> Any:  # noqa: ARG001 - numba's signature
        return builder.bswap(args[0]) if sig.return_type.bitwidth > 8 else args[0]

    return value(value), generate


@intrinsic
def folded(typing: Any, value: Any) -> Any:  # noqa: ARG001 - numba's signature
    """A two's complement integer folded to an unsigned one: 0, -1, 1, -2, … become 0, 1, 2, 3, …; same type.

    The shift by the type's own width is a constant here; numba's `itemsize` is not, and loops with it run at a third.
    """

    def generate(context: Any, builder: Any, sig: Any, args: Any) -> Any:  # noqa: ARG001 - numba's signature
        bits = args[0].type.width
        sign = builder.ashr(args[0], ir.Constant(args[0].type, bits - 1))
        return builder.xor(builder.shl(args[0], ir.Constant(args[0].type, 1)), sign)

    return value(value), generate


@intrinsic
def unfolded(typing: Any, value: Any) -> Any:  # noqa: ARG001 - numba's signature
    """The inverse of `folded`."""

    def generate(context: Any, builder: Any, sig: Any, args: Any) -> Any:  # noqa: ARG001 - numba's signature
        one = ir.Constant(args[0].type, 1)
        return builder.xor(builder.lshr(args[0], one), builder.neg(builder.and_(args[0], one)))

    return value(value), generate
