// expect: a function cannot return a ~Escapable result
import Sluice

func f(_ loop: borrowing EventLoop) -> Event { loop.event }
