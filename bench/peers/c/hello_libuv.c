/* Start a libuv loop, run one callback, exit. */
#include <uv.h>

static int ran;

static void on_idle(uv_idle_t *h) {
    ran = 42;
    uv_idle_stop(h);
}

int main(void) {
    uv_loop_t loop;
    uv_idle_t idle;
    uv_loop_init(&loop);
    uv_idle_init(&loop, &idle);
    uv_idle_start(&idle, on_idle);
    uv_run(&loop, UV_RUN_DEFAULT);
    uv_close((uv_handle_t *)&idle, NULL);
    uv_run(&loop, UV_RUN_DEFAULT);
    return uv_loop_close(&loop) != 0 || ran != 42;
}
