// expect: lifetime-dependent value escapes its scope
import Sluice

nonisolated(unsafe) var kept: Event? = nil
func f(_ loop: borrowing EventLoop) { kept = loop.event }
