// expect: return expression of type 'Event' does not conform to 'Escapable'
import Sluice

func f(_ loop: borrowing EventLoop) -> Any { loop.event }
