/* 08-answer.c - if a server reads until EAGAIN, one busy peer keeps all others waiting. So read one
 * piece, and keep a list of the peers that have more. */
#include "tutorial.h"

enum { PIECE = 4096, MUCH = 40 * PIECE };

int main(void) {
    static char bytes[MUCH];
    int busy, quiet, servers[2], has_more[2] = {1, 1}, turns = 0, heard = 0;
    connection(&busy, &servers[0]);
    connection(&quiet, &servers[1]);
    send(busy, bytes, sizeof bytes, 0);
    send(quiet, "hello", 5, 0);
    for (int i = 0; i < 2; i++)
        do_not_block(servers[i]); /* both are ready: an edge each, which does not come again */

    while (has_more[0] || has_more[1]) {
        turns++;
        for (int i = 0; i < 2; i++) {
            if (!has_more[i])
                continue;
            ssize_t count = recv(servers[i], bytes, PIECE, 0);
            has_more[i] = count == PIECE; /* a short read has taken all that there was */
            if (i == 1 && count == 5)
                heard = turns;
        }
    }
    printf("the quiet one was heard in turn %d\n", heard);
    printf("the busy one took more than 40 turns: %s\n", yes(turns > 40));
}
