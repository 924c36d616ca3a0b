package clients

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// TestPluginsWalk follows the section of docs/plugins.md that leads from an empty folder to a
// format of one's own, literally: it writes its files, types its commands into one shell, and
// expects the output that it shows.
func TestPluginsWalk(t *testing.T) {
	page, err := os.ReadFile("../docs/plugins.md")
	if err != nil {
		t.Fatal(err)
	}
	_, section, found := strings.Cut(string(page), "\n**1. ")
	section, _, _ = strings.Cut(section, "\n## ")
	blocks := regexp.MustCompile("(?s)```([a-z]+)(?: (\\S+))?\n(.*?\n)```\n").FindAllStringSubmatch(section, -1)
	if !found || len(blocks) != 10 {
		t.Fatalf("the page has %d blocks, this test knows 10", len(blocks))
	}
	checkout, err := filepath.Abs("..")
	if err != nil {
		t.Fatal(err)
	}
	dir, printed := t.TempDir(), ""
	for _, block := range blocks {
		language, file, text := block[1], block[2], block[3]
		switch {
		case file != "":
			if err := os.WriteFile(filepath.Join(dir, file), []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
		case language == "sh":
			// A cd in one command applies to the next one too.
			cmd := exec.Command("bash", "-euc", text+"\npwd >&3")
			cmd.Dir = dir
			cmd.Env = append(os.Environ(), "POLYWIRE="+checkout, "PATH="+filepath.Dir(broker)+string(os.PathListSeparator)+os.Getenv("PATH"))
			cmd.Stderr = t.Output()
			read, write, err := os.Pipe()
			if err != nil {
				t.Fatal(err)
			}
			cmd.ExtraFiles = []*os.File{write}
			out, err := cmd.Output()
			write.Close()
			if err != nil {
				t.Fatalf("%s: %v\n%s", text, err, out)
			}
			printed, dir = string(out), line(t, read)
		case language == "output":
			if printed != text {
				t.Errorf("printed\n%s\nand not\n%s", printed, text)
			}
		default:
			t.Errorf("what is to be done with a block of %s?", language)
		}
	}
}

// line reads the one line that there is.
func line(t *testing.T, f *os.File) string {
	t.Helper()
	defer f.Close()
	b := make([]byte, 4096)
	n, err := f.Read(b)
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSuffix(string(b[:n]), "\n")
}

// TestPluginReadmes checks that the broker finds nothing wrong with the configurations that the
// READMEs of the plugins show, when the programs are built where they say.
func TestPluginReadmes(t *testing.T) {
	installed(t)
	readmes, err := filepath.Glob("../examples/plugins/*/README.md")
	if err != nil || len(readmes) == 0 {
		t.Fatalf("found %d READMEs, %v", len(readmes), err)
	}
	for _, readme := range readmes {
		name := filepath.Base(filepath.Dir(readme))
		t.Run(name, func(t *testing.T) {
			text, err := os.ReadFile(readme)
			if err != nil {
				t.Fatal(err)
			}
			yaml := string(regexp.MustCompile("(?s)```yaml\n(.*?)```\n").FindSubmatch(text)[1])
			if path := "examples/plugins/" + name + "/" + name; strings.Contains(yaml, path) {
				yaml = strings.Replace(yaml, path, plugin(t, name), 1)
			}
			file := filepath.Join(t.TempDir(), "config.yaml")
			if err := os.WriteFile(file, []byte(yaml), 0o600); err != nil {
				t.Fatal(err)
			}
			check := exec.Command(broker, "check", "--config", file)
			check.Dir = ".."
			check.Env = append(os.Environ(), "STOMP_PASSCODE=secret")
			if out, err := check.CombinedOutput(); err != nil {
				t.Errorf("%v\n%s", err, out)
			}
		})
	}
}
