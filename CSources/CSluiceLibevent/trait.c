/* trait.c - what the Swift package compiles of this folder. It builds every target of its own, also
 * those that nothing depends on, and must get by without libevent unless the trait asks for it. */
#ifdef SLUICE_LIBEVENT
#include "libevent.c" // NOLINT(bugprone-suspicious-include): see above
#endif
