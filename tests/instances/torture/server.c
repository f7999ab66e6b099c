/* A llama-server that is up within a millisecond, for tests that start hundreds.

   It takes llama-server's flags, of which --alias, --host, --port and --list-devices count, and
     --witness DIR  holds DIR/name.ALIAS and DIR/port.PORT locked while it lives, and writes a line to
                    DIR/violations where another server holds one of them already;
     --bind-ms N    binds its port after so long;
     --load-ms N    answers 503 for so long, from its start.
   SIGTERM ends it with 0 once it is ready, and by the signal before, as with the real one. */

#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

static const char *witness;

static void end(int number) {
    (void)number;
    _exit(0);
}

static double now(void) {
    struct timespec at;
    clock_gettime(CLOCK_MONOTONIC, &at);
    return at.tv_sec + at.tv_nsec / 1e9;
}

/* The lock is the kernel's: it goes with the last moment of this process. */
static void hold_alone(const char *what, const char *value) {
    char path[4096];
    snprintf(path, sizeof path, "%s/%s.%s", witness, what, value);
    int file = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (file >= 0 && flock(file, LOCK_EX | LOCK_NB) == 0)
        return;
    snprintf(path, sizeof path, "%s/violations", witness);
    int told = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    dprintf(told, "two servers of one %s: %s (pid %d)\n", what, value, getpid());
    close(told);
}

static int bound(const char *host, int port) {
    int one = 1, server = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(port)};
    inet_pton(AF_INET, host, &address.sin_addr);
    setsockopt(server, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    if (bind(server, (struct sockaddr *)&address, sizeof address) || listen(server, 64)) {
        printf("0.00.011.640 E srv         start: couldn't bind HTTP server socket, "
               "hostname: %s, port: %d\n", host, port);
        exit(1);
    }
    return server;
}

static void answer(int client, const char *alias, int ready) {
    char request[4096], reply[8192], body[2048];
    struct timeval second = {.tv_sec = 1};
    setsockopt(client, SOL_SOCKET, SO_RCVTIMEO, &second, sizeof second);
    ssize_t got = read(client, request, sizeof request - 1);
    if (got <= 0)
        return;
    request[got] = 0;
    if (!ready)
        snprintf(body, sizeof body, "{\"error\":{\"message\":\"Loading model\",\"code\":503,"
                 "\"type\":\"unavailable_error\"}}");
    else if (!strncmp(request, "GET /health", 11))
        snprintf(body, sizeof body, "{\"status\":\"ok\"}");
    else if (!strncmp(request, "GET /props", 10))
        snprintf(body, sizeof body, "{\"total_slots\":1,\"model_alias\":\"%.200s\","
                 "\"default_generation_settings\":{\"n_ctx\":512}}", alias);
    else
        snprintf(body, sizeof body, "llamacpp:requests_processing 0\n");
    int length = snprintf(reply, sizeof reply, "HTTP/1.1 %s\r\nContent-Type: application/json\r\n"
                          "Content-Length: %zu\r\nConnection: close\r\n\r\n%s",
                          ready ? "200 OK" : "503 Service Unavailable", strlen(body), body);
    if (write(client, reply, length) != length)
        return;
    shutdown(client, SHUT_WR);
}

int main(int count, char **words) {
    const char *alias = "", *host = "127.0.0.1";
    int port = 8080;
    double began = now(), bind_at = began, ready_at = began;
    signal(SIGPIPE, SIG_IGN);
    setvbuf(stdout, NULL, _IOLBF, 0);
    for (int i = 1; i < count; i++) {
        const char *next = i + 1 < count ? words[i + 1] : "";
        if (!strcmp(words[i], "--list-devices")) {
            puts("Available devices:\n  (none)");
            return 0;
        }
        if (!strcmp(words[i], "--alias")) alias = next;
        if (!strcmp(words[i], "--host")) host = next;
        if (!strcmp(words[i], "--port")) port = atoi(next);
        if (!strcmp(words[i], "--witness")) witness = next;
        if (!strcmp(words[i], "--bind-ms")) bind_at += atoi(next) / 1e3;
        if (!strcmp(words[i], "--load-ms")) ready_at += atoi(next) / 1e3;
    }
    if (witness) {
        char text[16];
        snprintf(text, sizeof text, "%d", port);
        hold_alone("name", alias);
        hold_alone("port", text);
    }
    while (now() < bind_at)
        usleep(1000);
    int server = bound(host, port);
    for (;;) {
        int ready = now() >= ready_at;
        if (ready)
            signal(SIGTERM, end);
        struct timeval wait = {.tv_usec = ready ? 0 : 5000, .tv_sec = ready ? 3600 : 0};
        fd_set ears;
        FD_ZERO(&ears);
        FD_SET(server, &ears);
        if (select(server + 1, &ears, NULL, NULL, &wait) <= 0)
            continue;
        int client = accept4(server, NULL, NULL, SOCK_CLOEXEC);
        if (client >= 0) {
            answer(client, alias, now() >= ready_at);
            close(client);
        }
    }
}
