package plugin_test

import (
	"debug/elf"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/polywire/polywire/config"
	"github.com/polywire/polywire/core/coretest"
)

// Faults of a program are found when the configuration is read, and are named with its
// endpoint.
func TestFaultyPrograms(t *testing.T) {
	dir := t.TempDir()
	file := func(name string, mode os.FileMode, content []byte) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, content, mode); err != nil {
			t.Fatal(err)
		}
		return path
	}
	for _, c := range []struct{ name, command, want string }{
		{"missing", filepath.Join(dir, "missing"), "there is no program"},
		{"not in PATH", "no-such-plugin", "in PATH"},
		{"not executable", file("plain", 0o600, []byte("#!/bin/sh\n")), "is not executable"},
		{"no program", file("text", 0o700, []byte("hello")), "is no program"},
		{"empty", file("empty", 0o700, nil), "is no program"},
		{"another architecture", file("foreign", 0o700, foreignELF()), "another architecture"},
		{"a script without interpreter", file("script", 0o700, []byte("#!/no/such/sh\n")), "no such file"},
		{"a folder", dir, "is"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if c.name == "another architecture" && runtime.GOOS != "linux" {
				t.Skip("only looked at on Linux")
			}
			yaml := fmt.Sprintf("endpoints:\n  - {name: p, listen: \"127.0.0.1:0\", plugin: {command: [%q]}}\n", c.command)
			expectFault(t, yaml, c.want)
		})
	}
	for _, c := range []struct{ role, plugin, want string }{
		{"exits", "", "the licence has expired"},
		{"garbage", "", "Welcome to the plugin!"},
		{"newer", "", "incompatible API version"},
		{"silent", ", start_timeout: 300ms", "timeout"},
		{"deaf", "", "no such file"},
		{"other contract", "", "version 7 of the contract"},
		{"no profile", "", "no profile"},
		{"test", ", checksum: \"sha256:" + strings.Repeat("0", 64) + `"`, "another checksum"},
		{"test", ", checksum: md5", "64 hexadecimal digits"},
		{"test", ", processes: -1", "processes: must be"},
		{"test", ", grase: 1s", "unknown key"},
	} {
		t.Run(c.role+c.plugin, func(t *testing.T) { expectFault(t, yamlOf(c.role, c.plugin, ""), c.want) })
	}
}

// A plugin that starts in time but then does not describe itself is reported as such.
func TestDescriptionHangs(t *testing.T) {
	timeout := 300 * time.Millisecond
	coretest.Eventually(t, "the description is missed", func() bool {
		timeout *= 2
		_, err := load(t, yamlOf("describe hangs", fmt.Sprintf(", start_timeout: %s", timeout), ""))
		return err != nil && strings.Contains(err.Error(), "description") && strings.Contains(err.Error(), "endpoints[0].plugin")
	})
}

func expectFault(t *testing.T, yaml, want string) {
	t.Helper()
	cfg, err := load(t, yaml)
	switch {
	case err == nil:
		t.Fatalf("loaded %+v", cfg)
	case !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), "endpoints[0].plugin"):
		t.Errorf("the error is %q, without %q of endpoints[0].plugin", err, want)
	}
}

// foreignELF is the beginning of a program for a machine that this one is not.
func foreignELF() []byte {
	b := make([]byte, 64)
	copy(b, elf.ELFMAG)
	b[elf.EI_CLASS], b[elf.EI_DATA], b[elf.EI_VERSION] = byte(elf.ELFCLASS64), byte(elf.ELFDATA2LSB), byte(elf.EV_CURRENT)
	binary.LittleEndian.PutUint16(b[16:], uint16(elf.ET_EXEC))
	binary.LittleEndian.PutUint16(b[18:], uint16(elf.EM_68K))
	binary.LittleEndian.PutUint32(b[20:], uint32(elf.EV_CURRENT))
	binary.LittleEndian.PutUint16(b[52:], 64)
	return b
}

// The plugin judges its options; its problems are reported with their place, like all others.
func TestOptionProblems(t *testing.T) {
	_, err := load(t, yamlOf("test", "", "    options:\n      greeting: \"\"\n      wait: -1s\n"))
	problems, ok := errors.AsType[config.Errors](err)
	if !ok || len(problems) != 2 {
		t.Fatalf("the error is %v, want two problems", err)
	}
	for _, want := range []string{"config.yaml:7: endpoints[0].options.greeting: must not be empty", "config.yaml:8: endpoints[0].options.wait: must not be negative"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("the error is\n%v\nwithout %q", err, want)
		}
	}
	for _, option := range []string{"greeeting: x", "wait: soon", "stateful: 7s"} {
		if _, err := load(t, yamlOf("test", "", "    options: {"+option+"}\n")); err == nil || !strings.Contains(err.Error(), "endpoints[0].options."+option[:4]) {
			t.Errorf("with %s the error is %v", option, err)
		}
	}
}
