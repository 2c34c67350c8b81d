// expect: the 'get' accessor cannot return a ~Escapable result
import Sluice

struct Keeper { var event: Event? = nil }
