/* trait.c - what the Swift package compiles of this folder. It builds each of its own targets, even
 * if nothing depends on it. Without the trait it must build where there is no libevent. */
#ifdef SLUICE_LIBEVENT
#include "libevent.c" // NOLINT(bugprone-suspicious-include): see above
#endif
