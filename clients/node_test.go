package clients

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"testing"
)

// nodeClient is a process of node/client.mjs, which describes the language of
// its stdin and stdout.
type nodeClient struct{ orders *json.Encoder }

// node returns the dial function of a library of Node.js.
func node(name string) func(*testing.T, string, func(event)) doer {
	return func(t *testing.T, url string, tell func(event)) doer {
		t.Helper()
		if _, err := os.Stat("node/node_modules"); err != nil {
			t.Fatal("the clients of Node.js are not installed: run `make clients`")
		}
		cmd := exec.Command("node", "client.mjs", name, url)
		cmd.Dir = "node"
		cmd.Stderr = t.Output()
		stdin, stdout := pipes(t, cmd)
		if err := cmd.Start(); err != nil {
			t.Fatalf("starting Node.js: %v", err)
		}
		read := make(chan struct{})
		t.Cleanup(func() {
			stdin.Close()
			<-read
			if err := cmd.Wait(); err != nil {
				t.Errorf("node client.mjs %s: %v", name, err)
			}
		})
		go func() {
			defer close(read)
			relay(bufio.NewReader(stdout), tell)
		}()
		return nodeClient{json.NewEncoder(stdin)}
	}
}

func pipes(t *testing.T, cmd *exec.Cmd) (io.WriteCloser, io.ReadCloser) {
	t.Helper()
	stdin, err1 := cmd.StdinPipe()
	stdout, err2 := cmd.StdoutPipe()
	if err := errors.Join(err1, err2); err != nil {
		t.Fatal(err)
	}
	return stdin, stdout
}

// relay passes on the events of a client until its output ends.
func relay(r io.Reader, tell func(event)) {
	lines := json.NewDecoder(r)
	for {
		var e struct {
			Event, Extensions, Reason string
			Data                      []byte
			Binary                    bool
			Wire, Code                int
		}
		err := lines.Decode(&e)
		if errors.Is(err, io.EOF) {
			return
		}
		if err != nil {
			tell(event{kind: "error", reason: fmt.Sprintf("reading what client.mjs says: %v", err)})
			return
		}
		tell(event{
			kind: e.Event, message: message{string(e.Data), e.Binary}, extensions: e.Extensions,
			wire: e.Wire, code: e.Code, reason: e.Reason,
		})
	}
}

func (c nodeClient) send(m message) error {
	return c.orders.Encode(map[string]any{"do": "send", "data": []byte(m.data), "binary": m.binary})
}

func (c nodeClient) ping() error { return c.orders.Encode(map[string]any{"do": "ping"}) }

func (c nodeClient) close() error { return c.orders.Encode(map[string]any{"do": "close"}) }
