package webwire

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"hash/maphash"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
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

var errSessionUnknown = core.Failure{Code: core.SessionUnknown, Text: "there is no such session"}

// FileSessions keeps sessions as the default session manager of the original
// does: one file for each, named by its key and .wwrsess, with the JSON object
//
//	{"c":"created","l":"last look-up","i":{…} or null}
//
// and times as in RFC 3339. Either reads what the other wrote. Information that
// is not a JSON object is refused, because the original and its clients could
// not read it.
//
// A file is replaced as a whole: it is written under another name (which ends in
// .tmp, and is left behind if the process dies just then), synced and renamed. A
// folder may have several readers, but only one process at a time should
// look up and delete the same session.
//
// A key from a client is not let near the file system unless it consists of
// letters, digits, - and _ and is at most 247 bytes long; any other is a session
// that does not exist.
type FileSessions struct {
	// Static after construction.
	dir  string
	seed maphash.Seed
	now  func() time.Time

	// Each guards the files of the keys that fall to it, so that a look-up does
	// not write back what is being deleted.
	locks [64]sync.Mutex
}

var _ core.SessionStore = (*FileSessions)(nil)

// sessionFile is what a session's file says.
type sessionFile struct {
	Created    time.Time       `json:"c"`
	LastLookup time.Time       `json:"l"`
	Info       json.RawMessage `json:"i"`
}

// NewFileSessions returns the store of the folder dir, which is made if it does
// not exist. It is an error if no file can be written there.
func NewFileSessions(dir string) (*FileSessions, error) {
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
	return &FileSessions{dir: dir, seed: maphash.MakeSeed(), now: time.Now}, nil
}

// Create keeps a new session. A key of which no file name can be made is an error.
func (f *FileSessions) Create(ctx context.Context, key string, info []byte) (core.Session, error) {
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
	defer f.lock(key).Unlock()
	switch _, err := os.Lstat(f.path(key)); {
	case err == nil:
		return core.Session{}, core.ErrSessionTaken
	case !errors.Is(err, fs.ErrNotExist):
		return core.Session{}, fmt.Errorf("creating a session: %w", withoutPath(err))
	}
	if err := f.write(s); err != nil {
		return core.Session{}, fmt.Errorf("creating a session: %w", withoutPath(err))
	}
	return s, nil
}

// Lookup finds a session and writes down when.
func (f *FileSessions) Lookup(ctx context.Context, key []byte) (core.Session, error) {
	if err := ctx.Err(); err != nil {
		return core.Session{}, fmt.Errorf("looking up a session: %w", err)
	}
	if !isKey(key) {
		return core.Session{}, errSessionUnknown
	}
	s := core.Session{Key: string(key)}
	defer f.lock(s.Key).Unlock()
	data, err := os.ReadFile(f.path(s.Key))
	if errors.Is(err, fs.ErrNotExist) {
		return core.Session{}, errSessionUnknown
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
	seen := s
	seen.LastLookup = f.now()
	if err := f.write(seen); err != nil {
		return core.Session{}, fmt.Errorf("writing back a session: %w", withoutPath(err))
	}
	return s, nil
}

// Delete forgets a session; there may be none.
func (f *FileSessions) Delete(ctx context.Context, key string) error {
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
	return nil
}

// write puts s where it is looked for. The caller has the lock of the key.
func (f *FileSessions) write(s core.Session) (err error) {
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
	dst = append(appendTimes(append(dst, '{'), s), `,"i":`...)
	if len(s.Info) == 0 {
		dst = append(dst, "null"...)
	}
	return append(append(dst, s.Info...), '}')
}

// path returns where the file of key is. key must be checked.
func (f *FileSessions) path(key string) string { return filepath.Join(f.dir, key+fileSuffix) }

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
func (f *FileSessions) lock(key string) *sync.Mutex {
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
