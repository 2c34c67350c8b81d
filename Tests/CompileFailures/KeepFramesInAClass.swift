// expect: the 'get' accessor cannot return a ~Escapable result
import Sluice

final class Keeper { var frames: Frames? = nil }
