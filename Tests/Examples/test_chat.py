"""Examples/swift/chat and chat-async, with nc."""

import socket

from examples import MEGABYTE, ExampleTest, Netcat, connect


class ChatTest(ExampleTest):
    PROGRAM = "chat"

    def setUp(self):
        super().setUp()
        self.room = self.start(self.PROGRAM, "127.0.0.1:0")

    def enter(self, name):
        client = Netcat(self, "-N", "127.0.0.1", self.room.port)
        client.say(f"/nick {name}")
        client.wait_for(f"* you are {name}\n")
        return client

    def test_two_talk(self):
        anna = self.enter("anna")
        ben = self.enter("ben")
        anna.wait_for("* guest2 has joined\n* guest2 is now ben\n")
        anna.say("hello, all")
        ben.wait_for("anna: hello, all\n")
        ben.say("/who")
        ben.wait_for("* here are anna ben\n")
        self.assertNotIn("anna: ", anna.output())
        ben.say("/quit\nsaid too late")
        ben.wait_for("* goodbye\n")
        self.assertEqual(ben.end(), 0)
        anna.wait_for("* ben has left\n")
        self.assertEqual(anna.output().count("ben has left"), 1)
        self.assertNotIn("too late", anna.output())

    def test_a_name_that_will_not_do(self):
        self.enter("anna")
        ben = self.enter("ben")
        ben.say("/nick anna")
        ben.wait_for("* anna is taken\n")
        for name in ("", "x" * 21, "two words"):
            ben.say(f"/nick {name}")
        ben.say("/nonsense")
        ben.wait_for("* there is no /nonsense\n")
        self.assertEqual(ben.output().count("* a name is 1 to 20 characters"), 3)

    def test_one_who_just_goes_has_left(self):
        anna = self.enter("anna")
        ben = self.enter("ben")
        ben.process.kill()
        anna.wait_for("* ben has left\n")

    def test_a_line_without_an_end_ends_its_client_alone(self):
        anna = self.enter("anna")
        ben = self.enter("ben")
        with connect(self.room.address) as shouter:
            shouter.sendall(b"x" * 2_000)
            anna.wait_for("* guest3 has left: ")
        anna.say("quiet again")
        ben.wait_for("anna: quiet again\n")

    def test_a_flood_of_short_lines_drops_nobody(self):
        anna = self.enter("anna")
        with connect(self.room.address) as flooder:
            flooder.sendall(b"/nick " + b"f" * 20 + b"\n")
            anna.wait_for("is now " + "f" * 20 + "\n")
            # One receive should become a few hundred thousand bytes for each of the others.
            flooder.sendall(b"x\n" * 40_000 + b"done\n")
            anna.wait_for("f: done\n")
        self.assertEqual(anna.output().count("f: x\n"), 40_000)

    def test_a_name_of_long_characters_will_not_do(self):
        anna = self.enter("anna")
        anna.say("/nick a" + "\u0301" * 40)
        anna.wait_for("* a name is 1 to 20 characters")

    def test_one_who_does_not_read_is_dropped_alone(self):
        anna = self.enter("anna")
        ben = self.enter("ben")
        with socket.socket() as deaf:
            deaf.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
            deaf.connect(("127.0.0.1", int(self.room.port)))
            ben.wait_for("* guest3 has joined\n")
            # They take turns, so that Ben is never behind.
            for number in range(1_000):
                anna.process.stdin.write((b"x" * 900 + b"\n") * 50 + b"%d\n" % number)
                ben.wait_for(f"anna: {number}\n")
                if "* guest3 has left" in ben.output():
                    break
        self.assertIn("* guest3 has left", ben.output())
        ben.say("it is quiet here")
        anna.wait_for("ben: it is quiet here\n")
        self.assertLess(self.room.peak_memory(), 64 * MEGABYTE)


class ChatAsyncTest(ChatTest):
    PROGRAM = "chat-async"
