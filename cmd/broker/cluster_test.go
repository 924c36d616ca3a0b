package main

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/polywire/polywire/core/coretest"
)

// TestClusterQuickStart does what docs/cluster.md tells a newcomer to do: it writes the files that
// it shows and types its commands, with free ports for those of the document.
func TestClusterQuickStart(t *testing.T) {
	program, err := build()
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile("../../docs/cluster.md")
	if err != nil {
		t.Fatal(err)
	}
	text, _, found := bytes.Cut(text, []byte("\n## The keys\n"))
	if !found {
		t.Fatal("the document has no section of its keys")
	}
	ports := make(map[string]string)
	text = regexp.MustCompile(`127\.0\.0\.1:\d+`).ReplaceAllFunc(text, func(address []byte) []byte {
		if ports[string(address)] == "" {
			ports[string(address)] = "127.0.0.1:" + strconv.Itoa(coretest.FreePort(t))
		}
		return []byte(ports[string(address)])
	})
	dir := t.TempDir()
	files := regexp.MustCompile("(?s)\n`([^`]+)`:\n\n```[a-z]*\n(.*?)```\n").FindAllSubmatch(text, -1)
	for _, f := range files {
		if err := os.WriteFile(filepath.Join(dir, string(f[1])), f[2], 0o600); err != nil {
			t.Fatal(err)
		}
	}
	commands := regexp.MustCompile("(?s)```sh\n(.*?)```\n").FindAllSubmatch(text, -1)
	if len(files) != 4 || len(commands) != 3 {
		t.Fatalf("it shows %d files and %d blocks of commands, want 4 and 3", len(files), len(commands))
	}
	// The brokers end with the shell: it kills its jobs when it is done.
	script := []byte("set -e\ntrap 'kill $(jobs -p); wait' EXIT\n")
	for _, c := range commands {
		// A person waits for a second until the nodes know who hears what; on a busy machine that
		// may be too short, so the conversation is played until it goes as the document says.
		script = append(script, regexp.MustCompile(`(?m)^broker converse .*$`).ReplaceAll(c[1], []byte("until $0; do :; done"))...)
	}
	shell := exec.CommandContext(t.Context(), "bash", "-c", string(script))
	shell.Dir = dir
	shell.Env = append(os.Environ(), "PATH="+filepath.Dir(program)+":"+os.Getenv("PATH"))
	shell.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	shell.Cancel = func() error { return syscall.Kill(-shell.Process.Pid, syscall.SIGKILL) }
	hung := time.AfterFunc(2*coretest.Patience, func() { _ = shell.Cancel() })
	defer hung.Stop()
	out, err := shell.CombinedOutput()
	if err != nil || !bytes.Contains(out, []byte("ok talk.txt\n")) {
		t.Errorf("%v\n%s", err, out)
	}
}
