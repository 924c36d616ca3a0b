package sessions

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"hash/maphash"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/polywire/polywire/core"
	"github.com/polywire/polywire/core/rawjson"
)

const (
	// fileSuffix follows the key in the name of a session's file.
	fileSuffix = ".wwrsess"
	// maxKey is the longest key whose file name every usual file system takes.
	maxKey = 255 - len(fileSuffix)
	// The original's permissions for files, and what a folder needs to go with them.
	fileMode   = 0o640
	folderMode = 0o750
)

// Files keeps sessions as the default session manager of the original webwire server does
// (docs/formats/webwire.md, "Sessions"): one file for each, named by its key and .wwrsess,
// with the JSON object
//
//	{"c":"created","l":"last look-up","i":{…} or null}
//
// and times as in RFC 3339. Each can read what the other wrote. Information that is not a
// JSON object is refused, because the original and its clients could not read it.
//
// A file is replaced as a whole: it is written under another name (which ends in
// .tmp, and is left behind if the process dies just then), synced and renamed. A
// folder may have several readers, but only one process at a time should
// look up and delete the same session.
//
// A key from a client reaches the file system only if it consists of letters, digits, - and
// _ and is at most 247 bytes long; any other is a session that does not exist.
//
// If the time of a look-up cannot be written, because the disk is full or read-only, that is
// logged and the look-up does not fail.
type Files struct {
	// Static after construction.
	dir    string
	limits core.SessionLimits
	usage  *usage // nil without limits
	log    *slog.Logger
	seed   maphash.Seed
	now    func() time.Time

	prober prober

	// Atomic.
	unwritable atomic.Bool   // the time of the last look-up could not be written
	evicted    atomic.Uint64 // evicted sessions

	// Each guards the files of the keys that hash to it, so that a look-up does not write
	// back what is being deleted.
	locks [64]sync.Mutex
}

var _ core.SessionStore = (*Files)(nil)

// sessionFile is what a session's file says.
type sessionFile struct {
	Created    time.Time       `json:"c"`
	LastLookup time.Time       `json:"l"`
	Info       json.RawMessage `json:"i"`
}

// FileOptions say where and how a Files keeps its sessions.
type FileOptions struct {
	// Dir is the folder, which is made if it does not exist.
	Dir string
	// Limits bound the sessions. Those that exist already count by the times of their files.
	Limits core.SessionLimits
	// Logger logs when times of look-ups cannot be written, and when they can again; nil is
	// slog.Default().
	Logger *slog.Logger
}

// NewFiles returns the store of the folder dir, without limits.
func NewFiles(dir string) (*Files, error) {
	return OpenFiles(FileOptions{Dir: dir})
}

// OpenFiles returns a store. It fails if no file can be written in its folder.
func OpenFiles(o FileOptions) (*Files, error) {
	dir := o.Dir
	if dir == "" {
		return nil, errors.New("opening the session folder: no folder is named")
	}
	if err := os.MkdirAll(dir, folderMode); err != nil {
		return nil, fmt.Errorf("making the session folder: %w", err)
	}
	probe, err := os.CreateTemp(dir, "*.tmp")
	if err != nil {
		return nil, fmt.Errorf("opening the session folder: %w", err)
	}
	if err := errors.Join(probe.Close(), os.Remove(probe.Name())); err != nil {
		return nil, fmt.Errorf("opening the session folder: %w", err)
	}
	f := &Files{dir: dir, limits: o.Limits, log: o.Logger, seed: maphash.MakeSeed(), now: time.Now}
	if f.log == nil {
		f.log = slog.Default()
	}
	if f.limits != (core.SessionLimits{}) {
		if err := f.takeStock(); err != nil {
			return nil, fmt.Errorf("reading the session folder: %w", err)
		}
		f.tidy()
	}
	return f, nil
}

// takeStock finds the existing sessions.
func (f *Files) takeStock() error {
	entries, err := os.ReadDir(f.dir)
	if err != nil {
		return err
	}
	var found []used
	for _, e := range entries {
		key, ok := strings.CutSuffix(e.Name(), fileSuffix)
		if !ok || !isKey(key) || !e.Type().IsRegular() {
			continue
		}
		// A file that has just been removed does not count.
		if info, err := e.Info(); err == nil {
			found = append(found, used{key, info.ModTime()})
		}
	}
	slices.SortFunc(found, func(a, b used) int { return a.at.Compare(b.at) })
	f.usage = newUsage()
	for _, s := range found {
		f.usage.use(s.key, s.at)
	}
	return nil
}

// note records that a session was used and enforces the limits. The caller has no lock.
func (f *Files) note(key string) {
	if f.usage != nil {
		f.usage.use(key, f.now())
		f.tidy()
	}
}

// tidy evicts what is over the limits. The caller has no lock.
func (f *Files) tidy() {
	for {
		key, ok := f.usage.surplus(f.limits.Max, f.limits.Since(f.now()))
		if !ok {
			return
		}
		f.putOut(key)
	}
}

// putOut removes the file of an evicted session, unless the session is used again.
func (f *Files) putOut(key string) {
	defer f.lock(key).Unlock()
	if f.usage.knows(key) {
		return
	}
	f.evicted.Add(1)
	if err := os.Remove(f.path(key)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		f.log.Error("removing a session that is over the limits", "error", withoutPath(err))
	}
}

// Evicted returns how many sessions were evicted to stay within the limits. Any goroutine.
func (f *Files) Evicted() uint64 { return f.evicted.Load() }

// Create keeps a new session. A key that cannot make a file name is an error.
func (f *Files) Create(ctx context.Context, key string, info []byte) (core.Session, error) {
	if err := ctx.Err(); err != nil {
		return core.Session{}, fmt.Errorf("creating a session: %w", err)
	}
	if !isKey(key) {
		return core.Session{}, fmt.Errorf("creating a session: its key must be 1 to %d letters, digits, - and _: it names a file", maxKey)
	}
	info = rawjson.Trim(info)
	if rawjson.IsNull(info) {
		info = nil
	}
	if len(info) > 0 && (!rawjson.IsObject(info) || !rawjson.Valid(info)) {
		return core.Session{}, core.Failure{Code: core.Invalid, Text: "the information of a session must be a JSON object"}
	}
	now := f.now().UTC()
	s := core.Session{Key: key, Created: now, LastLookup: now}
	if len(info) > 0 {
		s.Info = append(s.Info, info...)
	}
	if err := f.make(s); err != nil {
		return core.Session{}, err
	}
	f.note(key)
	return s, nil
}

// make writes the file of a new session.
func (f *Files) make(s core.Session) error {
	defer f.lock(s.Key).Unlock()
	switch _, err := os.Lstat(f.path(s.Key)); {
	case err == nil:
		return core.ErrSessionTaken
	case !errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("creating a session: %w", withoutPath(err))
	}
	if err := f.write(s); err != nil {
		return fmt.Errorf("creating a session: %w", withoutPath(err))
	}
	return nil
}

// Lookup finds a session and records the time.
func (f *Files) Lookup(ctx context.Context, key []byte) (core.Session, error) {
	if err := ctx.Err(); err != nil {
		return core.Session{}, fmt.Errorf("looking up a session: %w", err)
	}
	if !isKey(key) {
		return core.Session{}, errUnknown
	}
	s, err := f.find(string(key))
	if err != nil {
		return core.Session{}, err
	}
	f.note(s.Key)
	return s, nil
}

// find reads the file of a session, and writes back that it was looked up.
func (f *Files) find(key string) (core.Session, error) {
	s := core.Session{Key: key}
	defer f.lock(key).Unlock()
	data, err := os.ReadFile(f.path(key))
	if errors.Is(err, fs.ErrNotExist) {
		return core.Session{}, errUnknown
	}
	var file sessionFile
	if err == nil {
		err = json.Unmarshal(data, &file)
	}
	if err != nil {
		return core.Session{}, fmt.Errorf("reading a session: %w", withoutPath(err))
	}
	s.Created, s.LastLookup = file.Created, file.LastLookup
	if !rawjson.IsNull(file.Info) {
		s.Info = file.Info
	}
	if s.Created.Before(f.limits.Since(f.now())) && s.LastLookup.Before(f.limits.Since(f.now())) {
		f.usage.forget(key)
		f.evicted.Add(1)
		// If it cannot be removed, it will be found too old again.
		_ = os.Remove(f.path(key))
		return core.Session{}, errUnknown
	}
	seen := s
	seen.LastLookup = f.now()
	f.noted(f.write(seen))
	return s, nil
}

// noted logs when times of look-ups can no longer be written, and when they can again.
func (f *Files) noted(err error) {
	if bad := err != nil; f.unwritable.Swap(bad) == bad {
		return
	}
	if err != nil {
		f.log.Error("the times of look-ups of sessions cannot be written; the sessions stay as they are", "error", withoutPath(err))
		return
	}
	f.log.Info("the times of look-ups of sessions are written again")
}

// Delete removes a session; there may be none.
func (f *Files) Delete(ctx context.Context, key string) error {
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("deleting a session: %w", err)
	}
	if !isKey(key) {
		return nil
	}
	defer f.lock(key).Unlock()
	if err := os.Remove(f.path(key)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("deleting a session: %w", withoutPath(err))
	}
	if f.usage != nil {
		f.usage.forget(key)
	}
	return nil
}

// write puts s where it is looked for. The caller has the lock of the key.
func (f *Files) write(s core.Session) (err error) {
	temp, err := os.CreateTemp(f.dir, "*.tmp")
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.Remove(temp.Name()))
		}
	}()
	_, err = temp.Write(appendFile(nil, s))
	if err = errors.Join(err, temp.Chmod(fileMode), temp.Sync(), temp.Close()); err != nil {
		return err
	}
	return os.Rename(temp.Name(), f.path(s.Key))
}

// appendFile appends what the file of s says.
func appendFile(dst []byte, s core.Session) []byte {
	dst = s.Created.UTC().AppendFormat(append(dst, `{"c":"`...), time.RFC3339Nano)
	dst = s.LastLookup.UTC().AppendFormat(append(dst, `","l":"`...), time.RFC3339Nano)
	dst = append(dst, `","i":`...)
	if len(s.Info) == 0 {
		dst = append(dst, "null"...)
	}
	return append(append(dst, s.Info...), '}')
}

// path returns where the file of key is. key must be checked.
func (f *Files) path(key string) string { return filepath.Join(f.dir, key+fileSuffix) }

// withoutPath returns err without its file name: whoever reads a log must not
// find keys there.
func withoutPath(err error) error {
	var path *fs.PathError
	var link *os.LinkError
	switch {
	case errors.As(err, &path):
		return fmt.Errorf("%s: %w", path.Op, path.Err)
	case errors.As(err, &link):
		return fmt.Errorf("%s: %w", link.Op, link.Err)
	}
	return err
}

// lock locks and returns the lock of key.
func (f *Files) lock(key string) *sync.Mutex {
	l := &f.locks[maphash.String(f.seed, key)%uint64(len(f.locks))]
	l.Lock()
	return l
}

// isKey reports whether key can be one: the alphabet of URL-safe base64, in a
// length that a file name can have.
func isKey[T string | []byte](key T) bool {
	if len(key) == 0 || len(key) > maxKey {
		return false
	}
	for i := range len(key) {
		switch c := key[i]; {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9', c == '-', c == '_':
		default:
			return false
		}
	}
	return true
}
