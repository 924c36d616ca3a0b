package examples_test

import (
	"bufio"
	"context"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"runtime/debug"
	"strings"
	"testing"

	"github.com/polywire/polywire/conversations"
	"github.com/polywire/polywire/core/coretest"
)

// patience is how long a program may take to start and to end.
const patience = coretest.Patience

// TestExamples builds each program, starts it on free ports, and plays its
// conversation.txt with it.
func TestExamples(t *testing.T) {
	for _, c := range []struct {
		folder    string
		endpoints []string
	}{
		{"stocking-router", []string{"games", "web"}},
		{"webwire-server", []string{"mobile"}},
		{"embed", []string{"mobile"}},
	} {
		t.Run(c.folder, func(t *testing.T) {
			file := filepath.Join(c.folder, "conversation.txt")
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			script, err := conversations.Parse(file, text)
			if err != nil {
				t.Fatal(err)
			}
			script.Timeout = coretest.Patience
			player, err := conversations.NewPlayer(script, nil)
			if err != nil {
				t.Fatal(err)
			}
			servers := start(t, c.folder, build(t, c.folder), c.endpoints)
			if err := player.Play(t.Context(), servers); err != nil {
				t.Error(err)
			}
			// The clients go first, lest the program wait for them to leave.
			if err := player.Close(); err != nil {
				t.Error(err)
			}
		})
	}
}

// build builds a program, with the race detector if the test has it.
func build(t *testing.T, folder string) (program string) {
	t.Helper()
	program = filepath.Join(t.TempDir(), folder)
	args := []string{"build", "-buildvcs=false", "-o", program}
	if raced() {
		args = append(args, "-race")
	}
	if out, err := exec.Command("go", append(args, "./"+folder)...).CombinedOutput(); err != nil {
		t.Fatalf("building %s: %v\n%s", folder, err, out)
	}
	return program
}

func raced() bool {
	info, _ := debug.ReadBuildInfo()
	for _, s := range info.Settings {
		if s.Key == "-race" {
			return s.Value == "true"
		}
	}
	return false
}

// start runs a program in its folder until the test ends, and then requires that it ends without
// a fault. It returns the addresses that the program prints.
func start(t *testing.T, folder, program string, endpoints []string) map[string]*url.URL {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 2*patience)
	cmd := exec.CommandContext(ctx, program)
	cmd.Dir, cmd.Env = folder, os.Environ()
	for _, name := range endpoints {
		cmd.Env = append(cmd.Env, "POLYWIRE_ENDPOINTS__"+strings.ToUpper(name)+"__LISTEN=127.0.0.1:0")
	}
	cmd.Stderr = t.Output()
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		defer cancel()
		if err := cmd.Process.Signal(os.Interrupt); err != nil {
			t.Error(err)
		}
		if err := cmd.Wait(); err != nil {
			t.Errorf("the end of the program: %v", err)
		}
	})
	servers := make(map[string]*url.URL)
	lines := bufio.NewScanner(stdout)
	for len(servers) < len(endpoints) && lines.Scan() {
		name, address, _ := strings.Cut(lines.Text(), " ")
		if servers[name], err = url.Parse(address); err != nil {
			t.Fatal(err)
		}
	}
	if len(servers) < len(endpoints) {
		t.Fatalf("the program printed the addresses %v, want those of %q", servers, endpoints)
	}
	return servers
}
