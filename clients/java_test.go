package clients

import (
	"bufio"
	"encoding/base64"
	"fmt"
	"io"
	"os/exec"
	"testing"
)

// javaClient is a process of java/Client.java, which describes the language of its stdin.
type javaClient struct{ orders io.Writer }

func dialJava(t *testing.T, url string, tell func(event)) doer {
	t.Helper()
	if _, err := exec.LookPath("java"); err != nil {
		t.Fatal("there is no java for Java's own client: run `make clients`")
	}
	// Small and quick to start: a test starts many.
	cmd := exec.Command("java", "-Xshare:auto", "-XX:TieredStopAtLevel=1", "-Xmx64m", "Client.java", url)
	cmd.Dir = "java"
	cmd.Stderr = t.Output()
	stdin, stdout := pipes(t, cmd)
	if err := cmd.Start(); err != nil {
		t.Fatalf("starting java: %v", err)
	}
	read := make(chan struct{})
	t.Cleanup(func() {
		stdin.Close()
		<-read
		if err := cmd.Wait(); err != nil {
			t.Errorf("java Client.java: %v", err)
		}
	})
	go func() {
		defer close(read)
		relay(bufio.NewReader(stdout), tell)
	}()
	return javaClient{stdin}
}

func (c javaClient) order(format string, args ...any) error {
	_, err := fmt.Fprintf(c.orders, format+"\n", args...)
	return err
}

func (c javaClient) send(m message) error {
	kind := "text"
	if m.binary {
		kind = "binary"
	}
	return c.order("send %s %s", kind, base64.StdEncoding.EncodeToString([]byte(m.data)))
}

func (c javaClient) ping() error { return c.order("ping") }

func (c javaClient) close() error { return c.order("close") }
