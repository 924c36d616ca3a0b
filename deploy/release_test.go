package deploy_test

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/goreleaser/nfpm/v2"
	"github.com/goreleaser/nfpm/v2/files"
	"go.yaml.in/yaml/v3"
)

// release is what .goreleaser.yaml says and a test does.
type release struct {
	Builds []struct {
		Main                string
		Env, Flags, Ldflags []string
	}
	Nfpms []pkg
}

// pkg is what a package has in it.
type pkg struct {
	PackageName                                string `yaml:"package_name"`
	Formats                                    []string
	Maintainer, Description, Homepage, License string
	Section, Priority, Bindir                  string
	Contents                                   []struct{ Src, Dst, Type string }
	Scripts                                    struct{ Postinstall, Preremove string }
}

func readRelease() (*release, error) {
	text, err := os.ReadFile(filepath.Join(root, ".goreleaser.yaml"))
	if err != nil {
		return nil, fmt.Errorf("reading the release: %w", err)
	}
	r := new(release)
	if err := yaml.Unmarshal(text, r); err != nil {
		return nil, fmt.Errorf("reading .goreleaser.yaml: %w", err)
	}
	if len(r.Builds) != 1 || len(r.Nfpms) != 1 {
		return nil, errors.New(".goreleaser.yaml has not one build and one kind of packages")
	}
	return r, nil
}

// build builds the program for this machine.
func (r *release) build(to string) error {
	b := r.Builds[0]
	args := append([]string{"build", "-o", to, "-ldflags", strings.Join(b.Ldflags, " ")}, b.Flags...)
	cmd := exec.Command("go", append(args, b.Main)...)
	cmd.Dir, cmd.Env = root, append(os.Environ(), b.Env...)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("building %s: %w\n%s", b.Main, err, out)
	}
	// What is in the packages besides the program.
	share := exec.Command("make", "-s", "share")
	share.Dir = root
	if out, err := share.CombinedOutput(); err != nil {
		return fmt.Errorf("making manual pages and completions: %w\n%s", err, out)
	}
	return nil
}

// pack makes a package of a version in a format, with the program, and writes it to a file.
func (p *pkg) pack(format, version, arch, program, to string) (err error) {
	contents := files.Contents{{Source: program, Destination: p.Bindir + "/broker", FileInfo: &files.ContentFileInfo{Mode: 0o755}}}
	for _, c := range p.Contents {
		contents = append(contents, &files.Content{Source: filepath.Join(root, c.Src), Destination: c.Dst, Type: c.Type})
	}
	info := nfpm.WithDefaults(&nfpm.Info{
		Name: p.PackageName, Arch: arch, Platform: "linux", Version: version, Section: p.Section, Priority: p.Priority,
		Maintainer: p.Maintainer, Description: p.Description, Homepage: p.Homepage, License: p.License,
		Overridables: nfpm.Overridables{
			Contents: contents, Umask: fs.FileMode(0o002),
			Scripts: nfpm.Scripts{
				PostInstall: filepath.Join(root, p.Scripts.Postinstall), PreRemove: filepath.Join(root, p.Scripts.Preremove),
			},
		},
	})
	if err := nfpm.PrepareForPackager(info, format); err != nil {
		return fmt.Errorf("preparing %s: %w", format, err)
	}
	packager, err := nfpm.Get(format)
	if err != nil {
		return fmt.Errorf("packing %s: %w", format, err)
	}
	file, err := os.Create(to)
	if err != nil {
		return fmt.Errorf("packing %s: %w", format, err)
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	if err := packager.Package(info, file); err != nil {
		return fmt.Errorf("packing %s: %w", format, err)
	}
	return nil
}
