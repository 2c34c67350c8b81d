/* test_loop_states.c - every state of a stream by every input. A stream's input and output are
 * driven into each pair of states. Then any two inputs come, one after the other: calls, and what
 * the kernel brings. In every case the stream must come to one CLOSED that is true, with every byte
 * in its order, and no call may end the stream beneath its caller. loop_states.c checks what must
 * be true.
 *
 * In some runs the test looks at the stream between the two inputs, and in others it does not: an
 * input may come before the loop has seen the one before it.
 */
#include "loop_states.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>

#include "faults.h"

/* ---- States ---------------------------------------------------------------------------------- */

static void stay(struct run *run) {
    (void)run;
}

static void throttle(struct run *run) {
    run_fill(run);
    run_pull(run);
}

static void hold_back(struct run *run) {
    run_fill_other(run);
    run_forward(run);
    run_pull(run);
}

static void end_input(struct run *run) {
    run_peer_sends(run, 10);
    run_peer_finishes(run);
    run_pull(run);
}

/* Bytes, and then the end of both directions: a reset if something is unread. */
static void fail_input(struct run *run) {
    run_peer_sends(run, 10);
    run_peer_closes(run);
}

static void finish_later(struct run *run) {
    run_fill(run);
    run_shutdown(run);
    run_pull(run);
}

static void finish(struct run *run) {
    run_write(run, 2);
    run_shutdown(run);
    run_pull(run);
}

/* With bytes that the peer sent before, and that have not been looked at. */
static void fail_output(struct run *run) {
    run_peer_stops_reading(run);
    run_peer_sends(run, 3);
    run_write(run, 2);
    run_flush(run);
}

static void close_later(struct run *run) {
    run_fill(run);
    run_close(run);
    run_pull(run);
}

struct state {
    const char *name;
    void (*reach)(struct run *run);
};

static const struct state inputs[] = {
    {"open", stay},           {"paused", run_pause}, {"throttled", throttle},
    {"held back", hold_back}, {"ended", end_input},  {"failed", fail_input},
};

static const struct state outputs[] = {
    {"open", stay},          {"finishing", finish_later}, {"finished", finish},
    {"failed", fail_output}, {"closing", close_later},
};

/* ---- Inputs ---------------------------------------------------------------------------------- */

static void write_little(struct run *run) {
    run_write(run, 1);
}

static void write_much(struct run *run) {
    run_write(run, 5000);
}

static void some_data(struct run *run) {
    run_peer_sends(run, 20);
}

static void much_data(struct run *run) {
    run_peer_sends(run, 5000);
}

static const struct state steps[] = {
    {"a write", write_little},
    {"a large write", write_much},
    {"a writev", run_writev},
    {"a flush", run_flush},
    {"a shutdown", run_shutdown},
    {"a pause", run_pause},
    {"a resume", run_resume},
    {"a hold", run_hold},
    {"a forward", run_forward},
    {"a forward to itself", run_forward_to_itself},
    {"a forward's end", run_forward_nowhere},
    {"a close", run_close},
    {"an abort", run_abort},
    {"data", some_data},
    {"much data", much_data},
    {"the peer's end", run_peer_finishes},
    {"the peer reads no more", run_peer_stops_reading},
    {"the peer closes", run_peer_closes},
    {"room", run_peer_reads},
    {"room at the other", run_other_reads},
    {"the other's end", run_other_closes},
    {"time", run_time_passes},
};

/* ---- All of them ----------------------------------------------------------------------------- */

/* How a run is made, by a number: half-open, holding, looked at in between, several a pull. */
enum { HALF = 1, HOLDS = 2, LOOKS = 4, MANY = 8, WAYS = 16 };

static void play(sluice_loop *loop, const struct state *input, const struct state *output,
                 const struct state *first, const struct state *second, unsigned way) {
    static struct run run;
    char what[200];
    snprintf(what, sizeof what, "input %s, output %s, then %s and %s%s%s%s%s", input->name,
             output->name, first->name, second->name, way & HALF ? ", half-open" : "",
             way & HOLDS ? ", holding" : "", way & LOOKS ? ", looked at in between" : "",
             way & MANY ? ", several events a pull" : "");
    run.what = what;
    run.capacity = way & MANY ? 16 : 1;
    /* To be there after its end, a stream has to be half-open. */
    bool half_open = (way & HALF) || input->reach == end_input;
    begin_run(&run, loop,
              (half_open ? SLUICE_HALF_OPEN : 0) |
                  (input->reach == throttle ? SLUICE_THROTTLED : 0));
    if (way & HOLDS) {
        run.holds = true;
        run_peer_sends(&run, 5);
        run_pull(&run);
    }
    /* The peer's reset comes last, because nothing is left to reach after it. */
    if (input->reach == fail_input) {
        output->reach(&run);
        input->reach(&run);
    } else {
        input->reach(&run);
        output->reach(&run);
    }
    first->reach(&run);
    if (way & LOOKS)
        run_pull(&run);
    second->reach(&run);
    end_run(&run);
}

static void use_real_time(void *unused) {
    (void)unused;
    simulate_time(false);
}

static sluice_loop *loop_of_runs(void) {
    defer(use_real_time, NULL);
    simulate_time(true);
    return make_loop_with((sluice_options){.high_mark = RUN_HIGH, .low_mark = RUN_LOW});
}

/* Each pair of states by any two inputs, in each way in turn. */
static void every_state_by_every_two_inputs(void) {
    sluice_loop *loop = loop_of_runs();
    unsigned way = 0;
    for (size_t i = 0; i < COUNT_OF(inputs); i++)
        for (size_t o = 0; o < COUNT_OF(outputs); o++)
            for (size_t a = 0; a < COUNT_OF(steps); a++)
                for (size_t b = 0; b < COUNT_OF(steps); b++, way = (way * 5 + 3) % WAYS)
                    play(loop, &inputs[i], &outputs[o], &steps[a], &steps[b], way);
}

/* Each pair of states by each input, in each way. */
static void every_state_by_every_input_in_every_way(void) {
    static const struct state nothing = {"nothing", stay};
    sluice_loop *loop = loop_of_runs();
    for (size_t i = 0; i < COUNT_OF(inputs); i++)
        for (size_t o = 0; o < COUNT_OF(outputs); o++)
            for (size_t a = 0; a < COUNT_OF(steps); a++)
                for (unsigned way = 0; way < WAYS; way++)
                    play(loop, &inputs[i], &outputs[o], &steps[a], &nothing, way);
}

int main(void) {
    static const struct test tests[] = {
        {"every state by every input, in every way", every_state_by_every_input_in_every_way, NULL},
        {"every state by every two inputs", every_state_by_every_two_inputs, NULL},
    };
    signal(SIGPIPE, SIG_IGN); /* the peers', whose streams may be gone */
    return run_over_backends(tests, COUNT_OF(tests));
}
