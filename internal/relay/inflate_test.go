package relay

import (
	"bytes"
	"compress/flate"
	"math/rand/v2"
	"runtime"
	"testing"
)

// A window holds the end of what was said.
func TestWindow(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	f := &inflater{max: 8 << 20, keeps: true}
	var all []byte
	var out bytes.Buffer
	w, err := flate.NewWriter(&out, flate.BestSpeed)
	if err != nil {
		t.Fatal(err)
	}
	for i, size := range []int{1, 100, 0, windowSize - 1, 4 << 20, 7, windowSize, 20_000, 20_000, windowSize + 1, 3} {
		message := make([]byte, size)
		for j := range message {
			message[j] = byte('a' + random.IntN(4))
		}
		out.Reset()
		if _, err := w.Write(message); err != nil {
			t.Fatal(err)
		}
		if err := w.Flush(); err != nil {
			t.Fatal(err)
		}
		got, err := f.message(bytes.TrimSuffix(out.Bytes(), []byte{0, 0, 0xff, 0xff}))
		if err != nil || !bytes.Equal(got, message) {
			t.Fatalf("message %d: %v", i, err)
		}
		all = append(all, message...)
		if want := all[max(0, len(all)-windowSize):]; !bytes.Equal(f.window, want) {
			t.Fatalf("after message %d the window is another", i)
		}
	}
}

// A long message is not kept for the window that is its end.
func TestWindowsAreSmall(t *testing.T) {
	inUse := func() int64 {
		var m runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&m)
		return int64(m.HeapAlloc)
	}
	const many, long = 32, 1 << 20
	before := inUse()
	var all [many]inflater
	for i := range all {
		all[i].keep(make([]byte, long))
		all[i].keep(make([]byte, long))
	}
	if grown := inUse() - before; grown > many*long/4 {
		t.Errorf("%d windows take %d bytes", many, grown)
	}
	runtime.KeepAlive(&all)
}
