/*
 * wan: a long, thin, lossy link between two TAP devices, for the benchmarks.
 *
 *   wan TAP_A TAP_B DELAY_MS RATE_MBIT LOSS_PERCENT BUFFER_MS
 *
 * Each direction by itself: a packet is lost with a fixed probability, else it waits its turn at the bottleneck (a queue
 * that is full is a loss too), and arrives DELAY_MS after it has left the bottleneck. RATE_MBIT 0 means no bottleneck.
 * Prints "up" when both devices are there; they exist as long as this program runs, in whatever namespace they are moved
 * to. Ends on SIGTERM or SIGINT with one line of counts per direction on standard error.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <poll.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#define FRAME_BYTES 2000 /* an Ethernet frame of MTU 1500, with room */
#define BURST 64         /* packets taken from one side before the other is looked at */
#define NS_PER_S 1000000000ull
#define SLACK_NS 20000 /* a packet that is due so soon goes now */

struct packet {
    uint64_t due; /* when it arrives, ns of the monotonic clock */
    int length;
    unsigned char bytes[FRAME_BYTES];
};

struct direction {
    int from, to;
    struct packet *ring;
    uint64_t head, tail, slots; /* ring indexes only grow; modulo slots */
    uint64_t free_at;           /* when the bottleneck has sent all it has taken */
    uint64_t passed, lost, overflowed;
};

struct link {
    uint64_t delay_ns, buffer_ns;
    double bits_per_s, loss;
};

static volatile sig_atomic_t stopping;

static void on_signal(int number)
{
    (void)number;
    stopping = 1;
}

static uint64_t now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * NS_PER_S + (uint64_t)t.tv_nsec;
}

/* xorshift64: the same losses in every run. */
static double uniform(void)
{
    static uint64_t state = 88172645463325252ull;
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return (double)(state >> 11) / 9007199254740992.0;
}

static int open_tap(const char *name)
{
    struct ifreq request = {0};
    int fd = open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC);
    request.ifr_flags = IFF_TAP | IFF_NO_PI;
    strncpy(request.ifr_name, name, IFNAMSIZ - 1);
    if (fd < 0 || ioctl(fd, TUNSETIFF, &request) < 0) {
        perror(name);
        exit(1);
    }
    return fd;
}

static void make_ring(struct direction *way, const struct link *link)
{
    double in_flight = link->bits_per_s / 8 / 1500 * (double)(link->delay_ns + link->buffer_ns) / NS_PER_S;
    way->slots = (uint64_t)(in_flight * 4) + 16384;
    way->ring = malloc(way->slots * sizeof *way->ring);
    if (!way->ring) {
        perror("ring");
        exit(1);
    }
}

/* Take what one side has sent and decide what becomes of it. */
static void take(struct direction *way, const struct link *link)
{
    static unsigned char spare[FRAME_BYTES];
    for (int n = 0; n < BURST; n++) {
        int full = way->tail - way->head >= way->slots;
        struct packet *packet = &way->ring[way->tail % way->slots];
        ssize_t length = read(way->from, full ? spare : packet->bytes, FRAME_BYTES);
        if (length <= 0)
            return;
        uint64_t now = now_ns(), start = way->free_at > now ? way->free_at : now;
        if (full || (link->bits_per_s > 0 && start - now > link->buffer_ns)) {
            way->overflowed++;
            continue;
        }
        if (link->loss > 0 && uniform() < link->loss) {
            way->lost++;
            continue;
        }
        if (link->bits_per_s > 0)
            start += (uint64_t)((double)length * 8 * NS_PER_S / link->bits_per_s);
        way->free_at = start;
        packet->due = start + link->delay_ns;
        packet->length = (int)length;
        way->tail++;
        way->passed++;
    }
}

/* Hand over what is due; a device that cannot take it loses it, as an interface does. */
static void deliver(struct direction *way)
{
    uint64_t now = now_ns() + SLACK_NS;
    for (; way->head != way->tail && way->ring[way->head % way->slots].due <= now; way->head++) {
        struct packet *packet = &way->ring[way->head % way->slots];
        if (write(way->to, packet->bytes, (size_t)packet->length) < 0)
            way->overflowed++;
    }
}

static void set_alarm(int timer, const struct direction ways[2])
{
    uint64_t next = 0;
    for (int i = 0; i < 2; i++)
        if (ways[i].head != ways[i].tail) {
            uint64_t due = ways[i].ring[ways[i].head % ways[i].slots].due;
            next = next && next < due ? next : due;
        }
    struct itimerspec at = {.it_value = {(time_t)(next / NS_PER_S), (long)(next % NS_PER_S)}};
    timerfd_settime(timer, TFD_TIMER_ABSTIME, &at, NULL);
}

int main(int count, char **words)
{
    if (count != 7) {
        fprintf(stderr, "usage: wan TAP_A TAP_B DELAY_MS RATE_MBIT LOSS_PERCENT BUFFER_MS\n");
        return 2;
    }
    struct link link = {
        .delay_ns = (uint64_t)(atof(words[3]) * 1e6),
        .bits_per_s = atof(words[4]) * 1e6,
        .loss = atof(words[5]) / 100,
        .buffer_ns = (uint64_t)(atof(words[6]) * 1e6),
    };
    int a = open_tap(words[1]), b = open_tap(words[2]), timer = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK);
    struct direction ways[2] = {{.from = a, .to = b}, {.from = b, .to = a}};
    make_ring(&ways[0], &link);
    make_ring(&ways[1], &link);
    signal(SIGTERM, on_signal);
    signal(SIGINT, on_signal);
    puts("up");
    fflush(stdout);
    while (!stopping) {
        struct pollfd ends[3] = {{a, POLLIN, 0}, {b, POLLIN, 0}, {timer, POLLIN, 0}};
        uint64_t expirations;
        set_alarm(timer, ways);
        if (poll(ends, 3, 1000) < 0 && errno != EINTR)
            break;
        if (ends[2].revents && read(timer, &expirations, sizeof expirations) < 0 && errno != EAGAIN)
            break;
        for (int i = 0; i < 2; i++) {
            if (ends[i].revents & POLLIN)
                take(&ways[i], &link);
            deliver(&ways[i]);
        }
    }
    for (int i = 0; i < 2; i++)
        fprintf(stderr, "%s to %s: %llu passed, %llu lost, %llu overflowed\n", words[1 + i], words[2 - i],
                (unsigned long long)ways[i].passed, (unsigned long long)ways[i].lost,
                (unsigned long long)ways[i].overflowed);
    return 0;
}
