/* The floor: what any server on this machine pays at least. An epoll loop that receives whatever comes and sends the same
 * answer: it parses nothing, logs nothing, counts nothing. Usage: floor PORT WORKERS; answers 200 with 1,024 octets. */
#define _GNU_SOURCE
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

enum { BODY = 1024, EVENTS = 256 };

static char answer[BODY + 512];
static int answer_length;

static int listen_on(int port)
{
    int one = 1, listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    struct sockaddr_in where = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    where.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    setsockopt(listener, SOL_SOCKET, SO_REUSEPORT, &one, sizeof one);
    if (bind(listener, (struct sockaddr *)&where, sizeof where) != 0 || listen(listener, 4096) != 0) {
        perror("floor");
        exit(1);
    }
    return listener;
}

static void serve(int port)
{
    static char question[65536];
    struct epoll_event events[EVENTS];
    int one = 1, listener = listen_on(port), poll = epoll_create1(0);
    struct epoll_event event = {.events = EPOLLIN, .data.fd = listener};
    epoll_ctl(poll, EPOLL_CTL_ADD, listener, &event);
    for (;;) {
        int ready = epoll_wait(poll, events, EVENTS, -1);
        for (int i = 0; i < ready; i++) {
            int fd = events[i].data.fd;
            if (fd == listener) {
                int client;
                while ((client = accept4(listener, NULL, NULL, SOCK_NONBLOCK)) >= 0) {
                    setsockopt(client, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
                    event.data.fd = client;
                    epoll_ctl(poll, EPOLL_CTL_ADD, client, &event);
                }
            } else if (recv(fd, question, sizeof question, 0) <= 0) {
                close(fd);
            } else {
                /* The load waits for each answer, so the socket's buffer always has room for one. */
                send(fd, answer, (size_t)answer_length, MSG_NOSIGNAL);
            }
        }
    }
}

int main(int count, char **words)
{
    if (count != 3) {
        fprintf(stderr, "usage: floor PORT WORKERS\n");
        return 2;
    }
    answer_length = sprintf(answer,
                            "HTTP/1.1 200 OK\r\nServer: floor\r\nContent-Type: text/plain\r\nContent-Length: %d\r\n"
                            "ETag: \"floor\"\r\nDate: Sat, 01 Jan 2000 00:00:00 GMT\r\n\r\n",
                            BODY);
    memset(answer + answer_length, 'a', BODY);
    answer_length += BODY;
    for (int i = 1; i < atoi(words[2]); i++) {
        if (fork() == 0) {
            prctl(PR_SET_PDEATHSIG, SIGKILL);
            break;
        }
    }
    serve(atoi(words[1]));
}
