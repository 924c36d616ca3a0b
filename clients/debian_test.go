package clients

import (
	"bufio"
	"encoding/json"
	"os/exec"
	"testing"
)

// debian returns the dial function of a library from a Debian package: an interpreter runs a script
// of the folder debian, which speaks the language of node/client.mjs. It must be Debian's own
// interpreter, whichever others are installed: only that one has the packages.
func debian(interpreter, script string) func(*testing.T, string, func(event)) doer {
	return func(t *testing.T, url string, tell func(event)) doer {
		t.Helper()
		cmd := exec.Command(interpreter, script, url)
		cmd.Dir = "debian"
		cmd.Stderr = t.Output()
		stdin, stdout := pipes(t, cmd)
		if err := cmd.Start(); err != nil {
			t.Fatalf("starting %s (run `make clients`): %v", script, err)
		}
		read := make(chan struct{})
		t.Cleanup(func() {
			stdin.Close()
			<-read
			if err := cmd.Wait(); err != nil {
				t.Errorf("%s (run `make clients`): %v", script, err)
			}
		})
		go func() {
			defer close(read)
			relay(bufio.NewReader(stdout), tell)
		}()
		return nodeClient{json.NewEncoder(stdin)}
	}
}
