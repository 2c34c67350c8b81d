// expect: generic struct 'Array' requires that 'Event' conform to 'Escapable'
import Sluice

func f(_ loop: borrowing EventLoop) { var kept = [loop.event]; kept.removeAll() }
