package plugin

import (
	"bytes"
	"debug/elf"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"runtime"
)

// machines are the ELF machines of the architectures that Go knows.
var machines = map[string]elf.Machine{
	"386": elf.EM_386, "amd64": elf.EM_X86_64, "arm": elf.EM_ARM, "arm64": elf.EM_AARCH64, "loong64": elf.EM_LOONGARCH,
	"mips": elf.EM_MIPS, "mipsle": elf.EM_MIPS, "mips64": elf.EM_MIPS, "mips64le": elf.EM_MIPS,
	"ppc64": elf.EM_PPC64, "ppc64le": elf.EM_PPC64, "riscv64": elf.EM_RISCV, "s390x": elf.EM_S390,
}

// findProgram returns the path of a program. It fails if the file shows that the program
// cannot run here.
func findProgram(name string) (path string, err error) {
	path, err = exec.LookPath(name)
	switch {
	case errors.Is(err, exec.ErrDot):
		// A program of the working directory that was named without "./".
	case errors.Is(err, exec.ErrNotFound):
		return "", fmt.Errorf("there is no program %q in PATH; a program of the working directory is written ./%s", name, name)
	case errors.Is(err, fs.ErrNotExist):
		return "", fmt.Errorf("there is no program %q", name)
	case errors.Is(err, fs.ErrPermission):
		return "", fmt.Errorf("%q is not executable; chmod +x makes it so", name)
	case err != nil:
		return "", fmt.Errorf("looking for the program %q: %w", name, err)
	}
	if runtime.GOOS != "linux" {
		return path, nil
	}
	return path, checkMachine(path)
}

// checkMachine reports a file that this machine cannot run.
func checkMachine(path string) error {
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrPermission) {
		return nil // it may be run all the same
	}
	if err != nil {
		return fmt.Errorf("opening the program: %w", err)
	}
	defer f.Close()
	head := make([]byte, len(elf.ELFMAG))
	n, _ := f.ReadAt(head, 0)
	switch {
	case bytes.HasPrefix(head[:n], []byte("#!")):
		return nil
	case string(head[:n]) != elf.ELFMAG:
		return fmt.Errorf("%q is no program: it begins neither with #! nor as an ELF file", path)
	}
	file, err := elf.NewFile(f)
	if err != nil {
		return fmt.Errorf("%q is no program: %w", path, err)
	}
	if want := machines[runtime.GOARCH]; want != elf.EM_NONE && file.Machine != want {
		return fmt.Errorf("%q is built for another architecture: %s, and this is %s", path, file.Machine, want)
	}
	return nil
}
