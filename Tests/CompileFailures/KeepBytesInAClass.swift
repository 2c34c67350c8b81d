// expect: the 'get' accessor cannot return a ~Escapable result
import Sluice

final class Keeper { var bytes = Span<UInt8>() }
