// The original at either end of a tunnel, for the test beside this folder.
//
//	remotedialer client URL        connects there, insecurely, and lets the server reach loopback; ends with its standard input
//	remotedialer server            listens on loopback and prints its port; every line "host:port" on standard input is dialled
//	                               through the tunnel of client "a", sent "hello", and the answer printed
package main

import (
	"bufio"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"

	"github.com/gorilla/websocket"
	"github.com/rancher/remotedialer"
)

func main() {
	switch os.Args[1] {
	case "client":
		ctx, cancel := context.WithCancel(context.Background())
		go func() { io.Copy(io.Discard, os.Stdin); cancel() }()
		dialer := &websocket.Dialer{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}
		allow := func(proto, address string) bool { return proto == "tcp" && strings.HasPrefix(address, "127.0.0.1:") }
		err := remotedialer.ConnectToProxy(ctx, os.Args[2], http.Header{}, allow, dialer, nil)
		fmt.Fprintln(os.Stderr, err)
	case "server":
		server := remotedialer.New(func(*http.Request) (string, bool, error) { return "a", true, nil }, remotedialer.DefaultErrorWriter)
		listener, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			panic(err)
		}
		fmt.Println(listener.Addr().(*net.TCPAddr).Port)
		go http.Serve(listener, server)
		lines := bufio.NewScanner(os.Stdin)
		for lines.Scan() {
			fmt.Println(ask(server, lines.Text()))
		}
	}
}

func ask(server *remotedialer.Server, address string) string {
	connection, err := server.Dialer("a")(context.Background(), "tcp", address)
	if err != nil {
		return "error: " + err.Error()
	}
	defer connection.Close()
	fmt.Fprintln(connection, "hello")
	answer, err := bufio.NewReader(connection).ReadString('\n')
	if err != nil {
		return "error: " + err.Error()
	}
	return strings.TrimSpace(answer)
}
