import socket
import sluiceio as select
import queue

ip_port = ("127.0.0.1", 9999)
sk = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
sk.bind(ip_port)
sk.listen(5)
sk.setblocking(False)
inputs = [sk, ]
outputs = []
message = {}

while True:
    rlist, wlist, eList = select.select(inputs, outputs, inputs, 0.5)
    for r in rlist:
        if r == sk:
            conn, address = r.accept()
            inputs.append(conn)
            message[conn] = queue.Queue()
            print(address)
        else:
            client_data = r.recv(1024)
            if client_data:
                outputs.append(r)
                message[r].put(client_data)
            else:
                inputs.remove(r)
                del message[r]
    for w in wlist:
        try:
            data = message[w].get_nowait()
            w.sendall(data)
        except queue.Empty:
            pass
        outputs.remove(w)
    for e in eList:
        inputs.remove(e)
        if e in outputs:
            outputs.remove(e)
        e.close()
        del message[e]
