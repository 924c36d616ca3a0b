package main

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/polywire/polywire/core/coretest"
)

// Who types the quick start of a document gets what it says.
func TestQuickStarts(t *testing.T) {
	program, err := build()
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		document, section string // the section is the one that is typed
		files, commands   int
		wants             []string
	}{
		{"cluster.md", "Three nodes in five minutes", 4, 3, []string{"ok talk.txt\n"}},
		{"moving.md", "Five minutes", 4, 4, []string{"ok clients.txt\n", "ok session.txt\n", "ok moved.txt\n"}},
	} {
		t.Run(tt.document, func(t *testing.T) {
			text, err := os.ReadFile(filepath.Join("../../docs", tt.document))
			if err != nil {
				t.Fatal(err)
			}
			_, text, found := bytes.Cut(text, []byte("\n## "+tt.section+"\n"))
			if !found {
				t.Fatalf("the document has no section %q", tt.section)
			}
			text, _, _ = bytes.Cut(text, []byte("\n## "))
			out, err := typeIn(t, filepath.Dir(program), text, tt.files, tt.commands)
			if err != nil {
				t.Error(err)
			}
			for _, want := range tt.wants {
				if !strings.Contains(out, want) {
					t.Errorf("it did not print %q", want)
				}
			}
			if t.Failed() {
				t.Logf("in the end: %s", out[max(0, len(out)-4096):])
			}
		})
	}
}

// typeIn writes the files of a document, types its commands into a shell, and returns what they
// printed. The broker is in folder programs.
func typeIn(t *testing.T, programs string, text []byte, wantFiles, wantCommands int) (string, error) {
	t.Helper()
	ports := make(map[string]string)
	text = regexp.MustCompile(`127\.0\.0\.1:\d+`).ReplaceAllFunc(text, func(address []byte) []byte {
		if ports[string(address)] == "" {
			ports[string(address)] = "127.0.0.1:" + strconv.Itoa(coretest.FreePort(t))
		}
		return []byte(ports[string(address)])
	})
	dir := t.TempDir()
	files := regexp.MustCompile("(?s)\n`([^`\n]+)`[^\n]*:\n\n```[a-z]*\n(.*?)```\n").FindAllSubmatch(text, -1)
	for _, f := range files {
		if err := os.WriteFile(filepath.Join(dir, string(f[1])), f[2], 0o600); err != nil {
			t.Fatal(err)
		}
	}
	commands := regexp.MustCompile("(?s)```sh\n(.*?)```\n").FindAllSubmatch(text, -1)
	if len(files) != wantFiles || len(commands) != wantCommands {
		t.Fatalf("it shows %d files and %d blocks of commands, want %d and %d", len(files), len(commands), wantFiles, wantCommands)
	}
	// The brokers end with the shell: it kills its jobs when it is done.
	script := []byte("set -e\ntrap 'kill $(jobs -p); wait' EXIT\n")
	for _, c := range commands {
		// A person waits a second until a server listens and others know who hears what; on a busy machine
		// that may be too short, so a conversation is played until it goes as the document says.
		script = append(script, regexp.MustCompile(`(?m)^broker converse .*$`).ReplaceAll(c[1], []byte("until $0; do :; done"))...)
	}
	shell := exec.CommandContext(t.Context(), "bash", "-c", string(script))
	shell.Dir = dir
	shell.Env = append(os.Environ(), "PATH="+programs+":"+os.Getenv("PATH"))
	shell.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	shell.Cancel = func() error { return syscall.Kill(-shell.Process.Pid, syscall.SIGKILL) }
	hung := time.AfterFunc(2*coretest.Patience, func() { _ = shell.Cancel() })
	defer hung.Stop()
	out, err := shell.CombinedOutput()
	return string(out), err
}
