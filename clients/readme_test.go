package clients

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
)

const example = "../config.example.yaml"

// TestReadme types the commands of the README's section about two unlike clients, each in its own
// terminal, and expects the output that the README shows. Only the ports differ from those in
// config.example.yaml.
func TestReadme(t *testing.T) {
	commands, answers := tale(t)
	if len(commands) != 5 || len(answers) != 4 {
		t.Fatalf("the README has %d commands and %d answers, this test knows 5 and 4", len(commands), len(answers))
	}
	ports := otherPorts(t)
	run := func(command string) *terminal { return typed(t, ports.Replace(command)) }
	first, second := run(commands[0]), run(commands[1])

	// Joining has no answer, so the broadcast is repeated until both receive it.
	for deadline := time.Now().Add(patience); !first.has(answers[0]) || !second.has(answers[1]); {
		if time.Now().After(deadline) {
			t.Fatalf("nobody, or only one, heard %s", commands[2])
		}
		run(commands[2]).finish()
	}
	run(commands[3])
	first.await(answers[2])
	run(commands[4]).finish()
	first.await(answers[3])
}

// TestReadmeTable checks that the README shows what `make run` prints.
func TestReadmeTable(t *testing.T) {
	table, err := exec.Command(broker, "check", "--config", example).Output()
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(readme(t), "```\n"+string(table)+"```\n") {
		t.Errorf("the README lacks the table\n%s", table)
	}
}

func readme(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile("../README.md")
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// tale returns the commands of the section and the output that it shows.
func tale(t *testing.T) (commands, answers []string) {
	t.Helper()
	_, section, _ := strings.Cut(readme(t), "\n## Two unlike clients hear each other\n")
	section, _, _ = strings.Cut(section, "\n## ")
	for _, block := range regexp.MustCompile("(?s)```(sh|json)\n(.*?)\n```\n").FindAllStringSubmatch(section, -1) {
		if block[1] == "sh" {
			commands = append(commands, block[2])
		} else {
			answers = append(answers, block[2])
		}
	}
	return commands, answers
}

// otherPorts runs a broker with the example configuration on free ports, and returns a replacer of
// the example's addresses by its own.
func otherPorts(t *testing.T) *strings.Replacer {
	t.Helper()
	out, err := exec.Command(broker, "check", "--config", example).Output()
	if err != nil {
		t.Fatal(err)
	}
	tables := make(chan map[string]string, 1)
	readTable(bufio.NewScanner(strings.NewReader(string(out))), tables)
	said := <-tables
	args := []string{"--config", example, "--set", "admin.listen=127.0.0.1:0"}
	for name := range said {
		if name != "admin" && !strings.Contains(name, " ") {
			args = append(args, "--set", fmt.Sprintf("endpoints.%s.listen=127.0.0.1:0", name))
		}
	}
	p := serve(t, args...)
	var pairs []string
	for name, url := range said {
		pairs = append(pairs, url, p.urls[name])
	}
	return strings.NewReplacer(pairs...)
}

// terminal is a running command. Its methods are called from one goroutine.
type terminal struct {
	t       *testing.T
	command string
	stdin   io.Closer
	lines   chan string // what it prints; closed at its end
	read    []string
	ended   chan error
}

// typed runs a command in the folder where npx finds wscat, until it ends by
// itself or the test does.
func typed(t *testing.T, command string) *terminal {
	t.Helper()
	cmd := exec.Command("bash", "-c", command)
	cmd.Dir = "node"
	cmd.Stderr = t.Output()
	stdin, stdout := pipes(t, cmd)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	// The channel has room for all lines that are printed, so no command waits for the test.
	tt := &terminal{t: t, command: command, stdin: stdin, lines: make(chan string, 1024), ended: make(chan error, 1)}
	go func() {
		for scanner := bufio.NewScanner(stdout); scanner.Scan(); {
			tt.lines <- scanner.Text()
		}
		close(tt.lines)
		tt.ended <- cmd.Wait()
	}()
	t.Cleanup(func() {
		// wscat ends when its input is closed.
		stdin.Close()
		tt.finish()
	})
	return tt
}

// finish waits until the command has ended. It may be called again.
func (tt *terminal) finish() {
	tt.t.Helper()
	select {
	case err := <-tt.ended:
		tt.ended <- nil
		if err != nil {
			tt.t.Errorf("%s: %v", tt.command, err)
		}
	case <-time.After(patience):
		tt.t.Errorf("%s: does not end", tt.command)
	}
}

// has reports whether the command has printed a line by now.
func (tt *terminal) has(line string) bool {
	for {
		select {
		case l, ok := <-tt.lines:
			if ok {
				tt.read = append(tt.read, l)
				continue
			}
		default:
		}
		return slices.Contains(tt.read, line)
	}
}

// await waits until the command prints a line.
func (tt *terminal) await(line string) {
	tt.t.Helper()
	deadline := time.After(patience)
	for !slices.Contains(tt.read, line) {
		select {
		case l, ok := <-tt.lines:
			if !ok {
				tt.t.Fatalf("%s: ended after %q, want %s", tt.command, tt.read, line)
			}
			tt.read = append(tt.read, l)
		case <-deadline:
			tt.t.Fatalf("%s: printed %q, want %s", tt.command, tt.read, line)
		}
	}
}
