package sessions

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/polywire/polywire/core"
)

// create makes a session as the engine does.
func create(ctx context.Context, store *Files, info []byte) (core.Session, error) {
	key, err := core.SessionKeys(nil).New()
	if err != nil {
		return core.Session{}, err
	}
	return store.Create(ctx, key, info)
}

func newStore(t *testing.T) *Files {
	t.Helper()
	store, err := NewFiles(filepath.Join(t.TempDir(), "wwrsess"))
	if err != nil {
		t.Fatal(err)
	}
	return store
}

// originalFile is a session's file as the original reads it, which can use only information
// that is an object.
type originalFile struct {
	Creation   time.Time      `json:"c"`
	LastLookup time.Time      `json:"l"`
	Info       map[string]any `json:"i"`
}

func readOriginal(t *testing.T, store *Files, key string) originalFile {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(store.dir, key+".wwrsess"))
	if err != nil {
		t.Fatal(err)
	}
	var file originalFile
	if err := json.Unmarshal(data, &file); err != nil {
		t.Fatalf("the original cannot read %s: %v", data, err)
	}
	return file
}

func requireUnknown(t *testing.T, store *Files, key string) {
	t.Helper()
	var failure core.Failure
	if s, err := store.Lookup(t.Context(), []byte(key)); !errors.As(err, &failure) || failure.Code != core.SessionUnknown {
		t.Errorf("key %.40q: %+v, %v", key, s, err)
	}
}

func TestFiles(t *testing.T) {
	store := newStore(t)
	created := time.Date(2018, 1, 2, 3, 4, 5, 6, time.UTC)
	store.now = func() time.Time { return created }
	s, err := create(t.Context(), store, []byte(` {"name": "ada", "n": 9007199254740993} `))
	if err != nil {
		t.Fatal(err)
	}
	const info = `{"name": "ada", "n": 9007199254740993}`
	if !regexp.MustCompile(`^[A-Za-z0-9_-]{64}$`).MatchString(s.Key) || !s.Created.Equal(created) || !s.LastLookup.Equal(created) || string(s.Info) != info {
		t.Errorf("created %+v", s)
	}
	if file := readOriginal(t, store, s.Key); !file.Creation.Equal(created) || !file.LastLookup.Equal(created) || file.Info["name"] != "ada" {
		t.Errorf("the original reads %+v", file)
	}
	// Each look-up tells of the one before, in this process and in the next.
	before := created
	for i := range 3 {
		now := created.Add(time.Duration(i+1) * time.Hour)
		if store, err = NewFiles(store.dir); err != nil {
			t.Fatal(err)
		}
		store.now = func() time.Time { return now }
		got, err := store.Lookup(t.Context(), []byte(s.Key))
		if err != nil || got.Key != s.Key || !got.Created.Equal(created) || !got.LastLookup.Equal(before) || string(got.Info) != info {
			t.Errorf("look-up %d: %+v, %v", i, got, err)
		}
		if file := readOriginal(t, store, s.Key); !file.Creation.Equal(created) || !file.LastLookup.Equal(now) {
			t.Errorf("after look-up %d the original reads %+v", i, file)
		}
		before = now
	}
	for range 2 { // the second time there is nothing to delete
		if err := store.Delete(t.Context(), s.Key); err != nil {
			t.Error(err)
		}
		requireUnknown(t, store, s.Key)
	}
	if left, _ := os.ReadDir(store.dir); len(left) != 0 {
		t.Errorf("left behind: %v", left)
	}
}

func TestFilesKeys(t *testing.T) {
	store := newStore(t)
	if s, err := store.Create(t.Context(), "own-Key_1", nil); err != nil || s.Key != "own-Key_1" {
		t.Fatalf("%+v, %v", s, err)
	}
	if _, err := store.Create(t.Context(), "own-Key_1", []byte(`{"other":1}`)); !errors.Is(err, core.ErrSessionTaken) {
		t.Errorf("a key that is taken: %v", err)
	}
	if s, err := store.Lookup(t.Context(), []byte("own-Key_1")); err != nil || s.Info != nil {
		t.Errorf("the first session is now %+v, %v", s, err)
	}
	for _, key := range []string{"", "../out", "a.b", "a b", strings.Repeat("k", 248)} {
		if _, err := store.Create(t.Context(), key, nil); err == nil || !strings.Contains(err.Error(), "its key must be 1 to 247 letters") {
			t.Errorf("key %.20q: %v", key, err)
		}
	}
	if left, _ := os.ReadDir(store.dir); len(left) != 1 {
		t.Errorf("files: %v", left)
	}
}

// What the original wrote can be read, and stays readable for it.
func TestFilesOfTheOriginal(t *testing.T) {
	const key = "Kx3_-0aZ"
	for _, c := range []struct {
		name, file, info string
		created, lookup  string
	}{
		{
			"with information", `{"c":"2018-11-05T12:30:45.123456789+01:00","l":"2018-11-06T00:00:00Z","i":{"uid":"7","admin":true}}`,
			`{"uid":"7","admin":true}`, "2018-11-05T11:30:45.123456789Z", "2018-11-06T00:00:00Z",
		},
		{"null", `{"c":"2018-11-05T12:30:45Z","l":"2018-11-06T00:00:00Z","i":null}`, ``, "2018-11-05T12:30:45Z", "2018-11-06T00:00:00Z"},
		{"none", `{"c":"2018-11-05T12:30:45Z","l":"2018-11-06T00:00:00Z"}`, ``, "2018-11-05T12:30:45Z", "2018-11-06T00:00:00Z"},
	} {
		t.Run(c.name, func(t *testing.T) {
			store := newStore(t)
			path := filepath.Join(store.dir, key+".wwrsess")
			if err := os.WriteFile(path, []byte(c.file), 0o640); err != nil {
				t.Fatal(err)
			}
			for i := range 2 {
				s, err := store.Lookup(t.Context(), []byte(key))
				if err != nil || string(s.Info) != c.info || s.Created.UTC().Format(time.RFC3339Nano) != c.created {
					t.Fatalf("%+v, %v", s, err)
				}
				if first := s.LastLookup.UTC().Format(time.RFC3339Nano) == c.lookup; first != (i == 0) {
					t.Errorf("look-up %d tells of one at %s", i, s.LastLookup)
				}
			}
			if file := readOriginal(t, store, key); time.Since(file.LastLookup) > time.Minute || (file.Info == nil) != (c.info == "") {
				t.Errorf("the original reads %+v", file)
			}
		})
	}
}

func TestFilesOtherKeys(t *testing.T) {
	store := newStore(t)
	outside := filepath.Join(filepath.Dir(store.dir), "outside.wwrsess")
	inside := filepath.Join(store.dir, "sub", "deep.wwrsess")
	if err := os.Mkdir(filepath.Dir(inside), 0o750); err != nil {
		t.Fatal(err)
	}
	const content = `{"c":"2018-11-05T12:30:45Z","l":"2018-11-06T00:00:00Z","i":{}}`
	for _, path := range []string{outside, inside, filepath.Join(store.dir, ".wwrsess"), filepath.Join(store.dir, "a.b.wwrsess"), filepath.Join(store.dir, strings.Repeat("k", 247)+".wwrsess")} {
		if err := os.WriteFile(path, []byte(content), 0o640); err != nil {
			t.Fatal(err)
		}
	}
	for _, key := range []string{
		"", "../outside", `..\outside`, "/outside", filepath.Join(store.dir, "..", "outside"), "sub/deep", "sub/../../outside",
		"./a", "a.b", ".", "..", "a\x00", "\x00", "../outside\x00", "a b", "key\n", "clé", "\xff", "a=", "a+b", "C:x", "%2e%2e%2foutside",
		"no-such-key", strings.Repeat("k", 248), strings.Repeat("k", 300), strings.Repeat("k", 1<<20), strings.Repeat("../", 50) + "etc/passwd",
	} {
		requireUnknown(t, store, key)
		if err := store.Delete(t.Context(), key); err != nil {
			t.Errorf("deleting %.40q: %v", key, err)
		}
	}
	for _, path := range []string{outside, inside} {
		if data, err := os.ReadFile(path); err != nil || string(data) != content {
			t.Errorf("%s is %q, %v", path, data, err)
		}
	}
	if s, err := store.Lookup(t.Context(), []byte(strings.Repeat("k", 247))); err != nil {
		t.Errorf("the longest key: %+v, %v", s, err)
	}
}

func TestFilesInfo(t *testing.T) {
	for info, want := range map[string]string{
		``: ``, `null`: ``, ` null `: ``, `{}`: `{}`, `{"a":"<&>"}`: `{"a":"<&>"}`, `{"b":1,"a":1e400,"b":2}`: `{"b":1,"a":1e400,"b":2}`,
	} {
		store := newStore(t)
		s, err := create(t.Context(), store, []byte(info))
		if err != nil || string(s.Info) != want {
			t.Fatalf("%s: %q, %v", info, s.Info, err)
		}
		if s, err = store.Lookup(t.Context(), []byte(s.Key)); err != nil || string(s.Info) != want || (s.Info == nil) != (want == "") {
			t.Errorf("%s: looked up %q, %v", info, s.Info, err)
		}
	}
	store := newStore(t)
	for _, info := range []string{`1`, `"x"`, `[{}]`, `true`, `{`, `{}{}`, `x`} {
		var failure core.Failure
		if s, err := create(t.Context(), store, []byte(info)); !errors.As(err, &failure) || failure.Code != core.Invalid {
			t.Errorf("%s: %+v, %v", info, s, err)
		}
	}
	if left, _ := os.ReadDir(store.dir); len(left) != 0 {
		t.Errorf("left behind: %v", left)
	}
}

// A file that cannot be read is a fault, not an unknown session, and stays. Keys
// do not show in errors.
func TestFilesFaults(t *testing.T) {
	store := newStore(t)
	for key, content := range map[string]string{"empty": "", "cut": `{"c":"2018-11-05T12:30:45Z","l":`, "text": "hello", "time": `{"c":"yesterday"}`, "folder": ""} {
		path := filepath.Join(store.dir, key+".wwrsess")
		var err error
		if key == "folder" {
			err = os.Mkdir(path, 0o750)
		} else {
			err = os.WriteFile(path, []byte(content), 0o640)
		}
		if err != nil {
			t.Fatal(err)
		}
		var failure core.Failure
		_, err = store.Lookup(t.Context(), []byte(key))
		if err == nil || errors.As(err, &failure) || strings.Contains(err.Error(), key+".wwrsess") {
			t.Errorf("%s: %v", key, err)
		}
		if _, err := os.Stat(path); err != nil {
			t.Errorf("%s is gone: %v", key, err)
		}
	}
	s, err := create(t.Context(), store, nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.RemoveAll(store.dir); err != nil {
		t.Fatal(err)
	}
	if _, err := create(t.Context(), store, nil); err == nil {
		t.Error("a session in no folder")
	}
	requireUnknown(t, store, s.Key)
}

func TestNewFilesFaults(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o640); err != nil {
		t.Fatal(err)
	}
	for _, dir := range []string{"", file, filepath.Join(file, "below"), "nul\x00"} {
		if _, err := NewFiles(dir); err == nil {
			t.Errorf("%q is a session folder", dir)
		}
	}
}

func TestFilesPermissions(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("Windows has no such permissions")
	}
	store := newStore(t)
	s, err := create(t.Context(), store, nil)
	if err != nil {
		t.Fatal(err)
	}
	folder, err := os.Stat(store.dir)
	if err != nil || folder.Mode().Perm()&0o007 != 0 {
		t.Errorf("folder: %v, %v", folder.Mode(), err)
	}
	file, err := os.Stat(store.path(s.Key))
	if err != nil || file.Mode().Perm() != 0o640 {
		t.Errorf("file: %v, %v", file.Mode(), err)
	}
}

// A look-up puts a new file in the place of the old one: a reader that has the old one open
// still reads its contents.
func TestFilesReplacesFiles(t *testing.T) {
	store := newStore(t)
	s, err := create(t.Context(), store, []byte(`{"a":1}`))
	if err != nil {
		t.Fatal(err)
	}
	before, err := os.Stat(store.path(s.Key))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := store.Lookup(t.Context(), []byte(s.Key)); err != nil {
		t.Fatal(err)
	}
	if after, err := os.Stat(store.path(s.Key)); err != nil || os.SameFile(before, after) {
		t.Errorf("the file was written over, or %v", err)
	}
}

// Readers never see half a file, and what is deleted does not come back.
func TestFilesConcurrently(t *testing.T) {
	store := newStore(t)
	var all sync.WaitGroup
	for range 4 {
		s, err := create(t.Context(), store, []byte(`{"a":"`+strings.Repeat("x", 4096)+`"}`))
		if err != nil {
			t.Fatal(err)
		}
		var users sync.WaitGroup
		for range 4 {
			users.Go(func() {
				for range 10 {
					got, err := store.Lookup(t.Context(), []byte(s.Key))
					if err == nil && string(got.Info) != string(s.Info) {
						t.Errorf("looked up %q", got.Info)
					}
					var failure core.Failure
					if err != nil && !errors.As(err, &failure) {
						t.Error(err)
					}
					data, err := os.ReadFile(store.path(s.Key))
					if err == nil && !json.Valid(data) || err != nil && !errors.Is(err, os.ErrNotExist) {
						t.Errorf("read %q, %v", data, err)
					}
				}
			})
		}
		users.Go(func() {
			for range 5 {
				if _, err := store.Lookup(t.Context(), []byte(s.Key)); err != nil {
					t.Error(err)
				}
			}
			if err := store.Delete(t.Context(), s.Key); err != nil {
				t.Error(err)
			}
		})
		all.Go(users.Wait)
	}
	all.Wait()
	if left, _ := os.ReadDir(store.dir); len(left) != 0 {
		t.Errorf("left behind: %v", left)
	}
}

func TestFilesCancelled(t *testing.T) {
	store := newStore(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := create(ctx, store, nil); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	if _, err := store.Lookup(ctx, []byte("k")); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	if err := store.Delete(ctx, "k"); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}
