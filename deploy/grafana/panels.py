"""The panels we use, each with its look in one place: size, unit, limits and what the description must say."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final, Literal

from grafana_foundation_sdk.builders import common as look
from grafana_foundation_sdk.builders import dashboard as board
from grafana_foundation_sdk.builders import stat, statetimeline, table, timeseries
from grafana_foundation_sdk.cog.builder import Builder
from grafana_foundation_sdk.models import common, dashboard

from deploy.grafana.influxql import Target, source

Kind = Literal["timeseries", "bars", "points", "stat", "table", "states"]
Limits = Sequence[tuple[float | None, str]]
Styles = Mapping[str, Sequence[tuple[str, Any]]]
GOOD: Final[Limits] = ((None, "green"),)
PLAIN: Final[Limits] = ((None, "text"),)


@dataclass(frozen=True)
class Panel:
    """One panel of the description.

    Attributes
    ----------
    title, text : str
        What stands above it, and what the (i) beside it says: whence the numbers, and what to do about them.
    targets : sequence of Target
        Its queries.
    kind : str
        timeseries (lines), bars (stacked), points, stat (one number), table, states (a line of coloured states).
    unit : str
        Grafana's name of the unit (`s`, `bytes`, `decbytes`, `percentunit`, `suffix: e-`).
    limits : sequence of (float or None, str)
        Colours from which value on; the first one holds below the first limit.
    width, height : int
        Cells of the grid of 24 columns; a cell is about 30 pixels high.
    every : str
        The shortest interval a point may stand for (`1m`).
    repeat : str
        A variable: one panel for each of its values.
    """

    title: str
    text: str
    targets: Sequence[Target]
    kind: Kind = "timeseries"
    unit: str = "none"
    decimals: int | None = None
    limits: Limits = GOOD
    low: float | None = None
    high: float | None = None
    width: int = 12
    height: int = 8
    every: str = ""
    repeat: str = ""
    calc: str = "lastNotNull"
    words: dict[str, tuple[str, str]] = field(default_factory=dict)
    units: dict[str, str] = field(default_factory=dict)
    styles: Styles = field(default_factory=dict)
    merge: bool = False
    hide: Sequence[str] = ()
    log: bool = False


def number(
    title: str,
    text: str,
    target: Target,
    unit: str = "short",
    decimals: int | None = None,
    limits: Limits = GOOD,
    width: int = 4,
) -> Panel:
    """One number for each series of a query, large, in a row of such numbers."""
    return Panel(title, text, [target], "stat", unit, decimals, limits, width=width, height=4)


def build(panel: Panel, number: int, x: int, y: int) -> Builder[dashboard.Panel]:
    """The panel as the SDK's builder, placed on the grid."""
    made: Any = _KINDS[panel.kind](panel)
    made.id(number).title(panel.title).description(panel.text).datasource(source()).unit(panel.unit)
    made.grid_pos(dashboard.GridPos(h=panel.height, w=panel.width, x=x, y=y))
    as_table: Literal["time_series", "table"] = "table" if panel.kind == "table" else "time_series"
    for letter, target in zip("ABCDEFGH", panel.targets, strict=False):
        made.with_target(replace(target, ref_id=letter, result_format=as_table))
    steps = [dashboard.Threshold(value=value, color=colour) for value, colour in panel.limits]
    made.thresholds(board.ThresholdsConfig().mode(dashboard.ThresholdsMode.ABSOLUTE).steps(steps))
    if panel.words:
        results = {key: dashboard.ValueMappingResult(text=t, color=c) for key, (t, c) in panel.words.items()}
        made.mappings([dashboard.ValueMap(options=results)])
    for name, unit in panel.units.items():
        made.override_by_name(name, [dashboard.DynamicConfigValue("unit", unit)])
    for pattern, properties in panel.styles.items():
        made.override_by_regexp(pattern, [dashboard.DynamicConfigValue(key, value) for key, value in properties])
    _optional(made, panel)
    placed: Builder[dashboard.Panel] = made
    return placed


def _optional(made: Any, panel: Panel) -> None:
    if panel.decimals is not None:
        made.decimals(panel.decimals)
    if panel.low is not None:
        made.min(panel.low)
    if panel.high is not None:
        made.max(panel.high)
    if panel.every:
        made.interval(panel.every)
    if panel.repeat:
        made.repeat(panel.repeat).repeat_direction("h")
    if panel.merge:
        made.with_transformation(dashboard.DataTransformerConfig(id_val="merge", options={}))
    if panel.hide:
        options = {"excludeByName": dict.fromkeys(panel.hide, True), "indexByName": {}, "renameByName": {}}
        made.with_transformation(dashboard.DataTransformerConfig(id_val="organize", options=options))


def _lines(panel: Panel) -> timeseries.Panel:
    made = (
        timeseries.Panel()
        .draw_style(common.GraphDrawStyle.LINE)
        .line_width(1)
        .fill_opacity(6)
        .show_points(common.VisibilityMode.AUTO)
        .span_nulls(True)
        .tooltip(look.VizTooltipOptions().mode(common.TooltipDisplayMode.MULTI).sort(common.SortOrder.DESCENDING))
        .legend(
            look.VizLegendOptions()
            .display_mode(common.LegendDisplayMode.LIST)
            .placement(common.LegendPlacement.BOTTOM)
            .show_legend(True)
            .calcs([])
        )
    )
    if len(panel.limits) > 1:
        made.thresholds_style(look.GraphThresholdsStyleConfig().mode(common.GraphTresholdsStyleMode.DASHED))
    if panel.log:
        made.scale_distribution(look.ScaleDistributionConfig().type(common.ScaleDistribution.LOG).log(10))
    return made


def _points(panel: Panel) -> timeseries.Panel:
    return (
        _lines(panel).draw_style(common.GraphDrawStyle.POINTS).point_size(5).show_points(common.VisibilityMode.ALWAYS)
    )


def _bars(panel: Panel) -> timeseries.Panel:
    stacked = look.StackingConfig().mode(common.StackingMode.NORMAL).group("A")
    return _lines(panel).draw_style(common.GraphDrawStyle.BARS).fill_opacity(60).stacking(stacked)


def _stat(panel: Panel) -> stat.Panel:
    return (
        stat.Panel()
        .graph_mode(common.BigValueGraphMode.NONE)
        .color_mode(common.BigValueColorMode.VALUE)
        .justify_mode(common.BigValueJustifyMode.AUTO)
        .text_mode(common.BigValueTextMode.AUTO)
        .orientation(common.VizOrientation.AUTO)
        .reduce_options(look.ReduceDataOptions().values(False).calcs([panel.calc]).fields(""))
        .no_value("none")
    )


def _table(_: Panel) -> table.Panel:
    return table.Panel().show_header(True).cell_height(common.TableCellHeight.SM).no_value("–")


def _states(_: Panel) -> statetimeline.Panel:
    return (
        statetimeline.Panel()
        .merge_values(True)
        .show_value(common.VisibilityMode.NEVER)
        .row_height(0.8)
        .fill_opacity(80)
        .line_width(0)
        .align_value(common.TimelineValueAlignment.LEFT)
        .legend(
            look.VizLegendOptions()
            .display_mode(common.LegendDisplayMode.LIST)
            .placement(common.LegendPlacement.BOTTOM)
            .show_legend(False)
            .calcs([])
        )
        .tooltip(look.VizTooltipOptions().mode(common.TooltipDisplayMode.SINGLE).sort(common.SortOrder.NONE))
    )


_KINDS: Final[dict[str, Any]] = {
    "timeseries": _lines,
    "points": _points,
    "bars": _bars,
    "stat": _stat,
    "table": _table,
    "states": _states,
}
