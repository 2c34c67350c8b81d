/* places.h - the descriptors of a differential script over pollers: a few numbers, always the same,
 * behind which files of all kinds come and go. All pollers watch these numbers, so they see one
 * state of the kernel.
 *
 * The kernel passes on by itself what is done to a TCP connection, nearly always at once. A call
 * here returns when the other end has it. The pollers are asked one after the other, so this way
 * they all see the same.
 */
#ifndef PLACES_H
#define PLACES_H

#include "choices.h"

enum { PLACES = 8 };

/* The number of a place, open or not. The last is above FD_SETSIZE. */
int place_number(size_t place);
bool place_is_open(size_t place);
bool place_is_tcp(size_t place);
/* Whether the file has no inode of its own. An eventfd has none, for example. */
bool place_shares_inode(size_t place);

/* What poll(2) reports on it when asked for everything: POLLIN and so on. */
short place_state(size_t place);

/* Each of these chooses places that apply, does something to them, and tells it. None of them
 * closes a place: see close_place. */
void open_some(struct choices *choices);
void duplicate_one(struct choices *choices);
void move_bytes(struct choices *choices);
void send_urgent(struct choices *choices);
void finish_one(struct choices *choices);
void set_clock(struct choices *choices);

/* With `resets`, a close of the last number of a TCP connection is a reset. */
void close_place(size_t place, bool resets);
void close_all_places(void);

#endif
