package deploy_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	_ "github.com/goreleaser/nfpm/v2/apk"
	_ "github.com/goreleaser/nfpm/v2/deb"
	_ "github.com/goreleaser/nfpm/v2/rpm"
)

// TestPackages makes a package in each format that is released.
func TestPackages(t *testing.T) {
	r, err := readRelease()
	if err != nil {
		t.Fatal(err)
	}
	p := &r.Nfpms[0]
	if !slices.Equal(p.Formats, []string{"deb", "rpm", "apk"}) {
		t.Errorf("packages of %v", p.Formats)
	}
	for _, format := range p.Formats {
		file := filepath.Join(t.TempDir(), "polywire."+format)
		if err := p.pack(format, "1.2.3", runtime.GOARCH, broker, file); err != nil {
			t.Error(err)
			continue
		}
		// It has the program in it, which is compressed to a third or so.
		program, err := os.Stat(broker)
		if err != nil {
			t.Fatal(err)
		}
		if made, err := os.Stat(file); err != nil || made.Size() < program.Size()/8 {
			t.Errorf("%s: %v, %v", format, made, err)
		}
	}
}

// TestDebian installs the package with dpkg in a root of its own, upgrades it beside a service that runs, and removes it.
// systemctl is a program that writes down how it is called, since systemd runs in no chroot.
func TestDebian(t *testing.T) {
	dpkg := installed(t, "dpkg")
	if os.Getuid() != 0 {
		t.Skip("only root may chroot, as dpkg does to run the package's scripts")
	}
	r, err := readRelease()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	for _, version := range []string{"1.2.3", "1.2.4"} {
		if err := r.Nfpms[0].pack("deb", version, runtime.GOARCH, broker, filepath.Join(dir, version+".deb")); err != nil {
			t.Fatal(err)
		}
	}
	chroot := debianRoot(t)
	manage := func(args ...string) {
		t.Helper()
		cmd := exec.Command(dpkg, append([]string{"--root=" + chroot, "--force-not-root", "--force-bad-path", "--force-confold"}, args...)...)
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("dpkg %v: %v\n%s", args, err, out)
		}
	}
	said := func() string {
		t.Helper()
		file := filepath.Join(chroot, "said")
		text := read(t, file)
		if err := os.Remove(file); err != nil {
			t.Fatal(err)
		}
		return text
	}
	inside := func(args ...string) string {
		t.Helper()
		out, err := exec.Command("chroot", append([]string{chroot}, args...)...).CombinedOutput()
		if err != nil {
			t.Fatalf("%v: %v\n%s", args, err, out)
		}
		return string(out)
	}

	manage("-i", filepath.Join(dir, "1.2.3.deb"))
	if got, want := said(), "daemon-reload\nis-active --quiet polywire\n"; got != want {
		t.Errorf("an installation calls systemctl with\n%swant\n%s", got, want)
	}
	if got := inside("/usr/bin/broker", "check", "--config", "/etc/polywire/config.yaml"); !strings.Contains(got, "ws://127.0.0.1:9190/") {
		t.Errorf("the configuration of the package:\n%s", got)
	}
	for _, file := range []string{
		"/usr/lib/systemd/system/polywire.service", "/usr/share/man/man1/broker-serve.1", "/usr/share/bash-completion/completions/broker",
		"/usr/share/zsh/site-functions/_broker", "/usr/share/fish/vendor_completions.d/broker.fish",
		"/usr/share/doc/polywire/config.example.yaml", "/usr/share/doc/polywire/copyright",
	} {
		info, err := os.Stat(filepath.Join(chroot, file))
		if err != nil || !info.Mode().IsRegular() || info.Mode().Perm()&0o022 != 0 || info.Size() == 0 {
			t.Errorf("%s: %v, %v", file, info, err)
		}
	}

	// An upgrade replaces the program of a service that runs, and keeps the configuration.
	config := filepath.Join(chroot, "etc/polywire/config.yaml")
	changed := read(t, config) + "# mine\n"
	write(t, config, changed, 0o644)
	write(t, filepath.Join(chroot, "active"), "", 0o644)
	manage("-i", filepath.Join(dir, "1.2.4.deb"))
	if got, want := said(), "daemon-reload\nis-active --quiet polywire\nkill --kill-who=main --signal=SIGUSR2 polywire\n"; got != want {
		t.Errorf("an upgrade calls systemctl with\n%swant\n%s", got, want)
	}
	if read(t, config) != changed {
		t.Error("an upgrade has changed the configuration")
	}

	manage("-r", "polywire")
	if got, want := said(), "disable --now polywire\n"; got != want {
		t.Errorf("a removal calls systemctl with\n%swant\n%s", got, want)
	}
	if _, err := os.Stat(filepath.Join(chroot, "usr/bin/broker")); err == nil {
		t.Error("the program is there after a removal")
	}
	if read(t, config) != changed {
		t.Error("a removal has changed the configuration")
	}
	manage("-P", "polywire")
	if _, err := os.Stat(config); err == nil {
		t.Error("the configuration is there after a purge")
	}
}

// debianRoot makes a root in which dpkg can run a package's scripts: a shell, and a systemctl for which the file /active
// says whether the service runs.
func debianRoot(t *testing.T) string {
	t.Helper()
	chroot := t.TempDir()
	for _, dir := range []string{"var/lib/dpkg/info", "var/lib/dpkg/updates", "var/lib/dpkg/triggers", "run/systemd/system", "dev", "tmp"} {
		if err := os.MkdirAll(filepath.Join(chroot, dir), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	write(t, filepath.Join(chroot, "var/lib/dpkg/status"), "", 0o644)
	write(t, filepath.Join(chroot, "usr/bin/systemctl"), `#!/bin/sh
echo "$@" >> /said
[ "$1" != is-active ] || [ -e /active ]
`, 0o755)
	shell, err := filepath.EvalSymlinks("/bin/sh")
	if err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(chroot, "bin/sh"), read(t, shell), 0o755)
	libraries, err := exec.Command("ldd", shell).Output()
	if err != nil {
		t.Fatal(fmt.Errorf("listing the libraries of %s: %w", shell, err))
	}
	for word := range strings.FieldsSeq(string(libraries)) {
		if strings.HasPrefix(word, "/") {
			write(t, filepath.Join(chroot, word), read(t, word), 0o755)
		}
	}
	return chroot
}
