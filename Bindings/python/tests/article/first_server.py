import socket
import sluiceio as select

ip_port = ("127.0.0.1", 9999)
sk = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
sk.bind(ip_port)
sk.listen(5)
sk.setblocking(False)
inputs = [sk, ]

while True:
    rlist, wlist, eList = select.select(inputs, [], [], 0.5)
    for r in rlist:
        if r == sk:
            conn, address = r.accept()
            inputs.append(conn)
            print(address)
        else:
            client_data = r.recv(1024)
            if client_data:
                r.sendall(client_data)
            else:
                inputs.remove(r)
