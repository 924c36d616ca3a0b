package network

import (
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// TestSealedBehindInput: ciphertext that comes while a connection is behind because of input
// that was kept as plaintext is decrypted before what comes later. Broken version: decrypt
// that does not note what it keeps (the next record overtakes it: bad record MAC).
func TestSealedBehindInput(t *testing.T) {
	r := startSecure(t, nil)
	c := r.dial(r.config(), nil)
	c.send("echo here")
	c.expect("here")
	on(t, r.hub.newest(), func(conn *conn) {
		conn.stepBack()
		c.send("echo first")
		b := make([]byte, recordSize)
		for deadline := time.Now().Add(3 * time.Minute); time.Now().Before(deadline); time.Sleep(time.Millisecond) {
			if n, err := unix.Read(conn.fd, b); err == nil {
				conn.decrypt(b[:n])
				return
			}
		}
		t.Error("nothing came")
	})
	c.send("echo second")
	c.expect("first")
	c.expect("second")
}
