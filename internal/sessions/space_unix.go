//go:build linux || darwin

package sessions

import "syscall"

// spaceLeft returns how many bytes may still be written on the disk of a folder; false if that is not known.
func spaceLeft(dir string) (uint64, bool) {
	var s syscall.Statfs_t
	if err := syscall.Statfs(dir, &s); err != nil {
		return 0, false
	}
	return s.Bavail * uint64(s.Bsize), true
}
