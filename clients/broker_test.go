package clients

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// patience is how long a test waits for what must come. It is long because the tests start many
// processes at once, on any machine.
const patience = 3 * time.Minute

// broker is the path of the program under test.
var broker string

// TestMain builds the broker once for all tests.
func TestMain(m *testing.M) { os.Exit(build(m)) }

func build(m *testing.M) int {
	dir, err := os.MkdirTemp("", "polywire-clients")
	if err != nil {
		fmt.Fprintln(os.Stderr, "making a folder for the broker:", err)
		return 1
	}
	defer os.RemoveAll(dir)
	broker = filepath.Join(dir, "broker")
	cmd := exec.Command("go", "build", "-buildvcs=false", "-o", broker, "./cmd/broker")
	cmd.Dir = ".."
	if out, err := cmd.CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "building the broker: %v\n%s", err, out)
		return 1
	}
	return m.Run()
}

// process is a running broker.
type process struct {
	// urls has the address of each endpoint under its name, that of its plain HTTP under the name
	// and " http", and that of the metrics under "admin", as the broker printed them.
	urls map[string]string
	// stop ends the broker and waits for it. It may be called again.
	stop func()
}

// configured runs a broker with a configuration until the test ends.
func configured(t *testing.T, yaml string) process {
	t.Helper()
	file := filepath.Join(t.TempDir(), "config.yaml")
	if err := os.WriteFile(file, []byte(yaml), 0o600); err != nil {
		t.Fatal(err)
	}
	return serve(t, "--config", file)
}

// serve runs `broker serve` until the test ends, and then checks that it ends without an error.
func serve(t *testing.T, args ...string) process {
	t.Helper()
	cmd := exec.Command(broker, append([]string{"serve"}, args...)...)
	cmd.Stderr = t.Output()
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	table := make(chan map[string]string, 1)
	read := make(chan struct{})
	go func() {
		defer close(read)
		readTable(bufio.NewScanner(stdout), table)
	}()
	stopped := false
	stop := func() {
		if stopped {
			return
		}
		stopped = true
		if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
			t.Errorf("stopping the broker: %v", err)
		}
		kill := time.AfterFunc(patience, func() { cmd.Process.Kill() })
		defer kill.Stop()
		<-read
		if err := cmd.Wait(); err != nil {
			t.Errorf("the broker ended: %v", err)
		}
	}
	t.Cleanup(stop)
	select {
	case urls, ok := <-table:
		if !ok {
			t.Fatal("the broker printed no table of endpoints")
		}
		return process{urls: urls, stop: stop}
	case <-time.After(patience):
		t.Fatal("the broker did not start")
	}
	panic("unreachable")
}

// readTable reads what `broker serve` and `broker check` print, and sends the addresses when it has
// all of them: the line with the metrics is the last.
func readTable(lines *bufio.Scanner, to chan<- map[string]string) {
	defer close(to)
	urls := map[string]string{}
	for lines.Scan() {
		fields := strings.Fields(lines.Text())
		if len(fields) != 3 || !strings.Contains(fields[2], "://") {
			continue
		}
		name := fields[0]
		if urls[name] != "" {
			name += " http"
		}
		urls[name] = fields[2]
		if name == "admin" {
			to <- urls
		}
	}
}
