package redis

import (
	"context"
	_ "embed" // register.lua
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/polywire/polywire/core"
	"github.com/polywire/polywire/internal/cluster/claims"
)

//go:embed register.lua
var registerScript string

// keys are the keys below one prefix. They have one hash tag, so that one process of a Cluster
// has them all.
type keys struct{ base, owners string }

func newKeys(prefix string) keys {
	base := "{" + strings.TrimSuffix(prefix, ":") + "}:"
	return keys{base: base, owners: base + "owners"}
}

// register asks the server who owns what. Any goroutine; it blocks for some seconds at most.
type register struct {
	client *goredis.Client
	script *goredis.Script
	keys   keys
	out    string // the channel of its events
	run    string // which process this is
	up     time.Duration
}

func newRegister(client *goredis.Client, prefix, own string) *register {
	return &register{client: client, script: goredis.NewScript(registerScript), keys: newKeys(prefix), out: own + "channels"}
}

// identify asks which process this is, and for how long it runs.
func (r *register) identify(ctx context.Context) error {
	text, err := r.client.Info(ctx, "server").Result()
	if err != nil {
		return fmt.Errorf("asking the server what it is: %w", err)
	}
	i := parseInfo(text)
	r.run, r.up = i.run, i.up
	if sharded(r.out) {
		return i.check(minShardedMajor)
	}
	return i.check(minMajor)
}

// minMajor is the first version of Redis of which scripts may write after they have read what has no
// order.
const minMajor = 5

// minShardedMajor is the first version that has sharded channels.
const minShardedMajor = 7

// info is what a server says of itself.
type info struct {
	run     string
	up      time.Duration // at least
	version string
	major   int // 0 if it is not known
}

func parseInfo(text string) (i info) {
	for line := range strings.Lines(text) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), ":")
		switch name {
		case "run_id":
			i.run = value
		case "uptime_in_seconds":
			// It is the difference of two times in whole seconds, so it can be almost one too much.
			if n, err := strconv.ParseInt(value, 10, 32); err == nil {
				i.up = time.Duration(max(n-1, 0)) * time.Second
			}
		case "redis_version":
			major, _, _ := strings.Cut(value, ".")
			i.version = value
			i.major, _ = strconv.Atoi(major) // what is no number is not known
		}
	}
	return i
}

var errOld = errors.New("the server is too old")

// check returns an error if it is known that the server is too old.
func (i info) check(major int) error {
	if i.major == 0 || i.major >= major {
		return nil
	}
	return fmt.Errorf("%w: it is Redis %s, version %d or newer is needed", errOld, i.version, major)
}

// answer is what the script answers.
type answer struct {
	word string
	rev  uint64
	rest []string
}

var errAnswer = errors.New("the register of channels answers what makes no sense")

func (r *register) do(ctx context.Context, op string, args ...any) (a answer, err error) {
	ctx, cancel := context.WithTimeout(ctx, 2*askTimeout)
	defer cancel()
	list, err := r.script.Run(ctx, r.client, []string{r.keys.owners}, append([]any{r.keys.base, r.out, op}, args...)...).StringSlice()
	if err != nil {
		return a, err
	}
	if len(list) < 2 {
		return a, errAnswer
	}
	if a.rev, err = strconv.ParseUint(list[1], 10, 64); err != nil {
		return a, errAnswer
	}
	a.word, a.rest = list[0], list[2:]
	return a, nil
}

func (r *register) probe(ctx context.Context) (answer, error) { return r.do(ctx, "probe") }

func (r *register) renew(ctx context.Context, lease string, node core.NodeID, ttl time.Duration) (answer, error) {
	return r.do(ctx, "renew", lease, string(node), ttl.Milliseconds(), r.run, r.up.Milliseconds())
}

// begin begins a lease, and ends those of before.
func (r *register) begin(ctx context.Context, lease string, node core.NodeID, ttl time.Duration, before []string) (answer, error) {
	args := []any{lease, string(node), ttl.Milliseconds(), r.run, r.up.Milliseconds()}
	for _, b := range before {
		args = append(args, b)
	}
	return r.do(ctx, "begin", args...)
}

// claim claims a channel; again says that this node has it already, and the server forgot it.
func (r *register) claim(ctx context.Context, e *claims.Entry, again bool) (answer, error) {
	flag := "0"
	if again {
		flag = "1"
	}
	return r.do(ctx, "claim", e.Lease, string(e.Node), e.Channel, e.Claim, encodeServices(e.Services), flag)
}

func (r *register) free(ctx context.Context, e *claims.Entry) (answer, error) {
	return r.do(ctx, "free", e.Lease, e.Channel, e.Claim)
}

func (r *register) end(ctx context.Context, lease string, node core.NodeID) (answer, error) {
	return r.do(ctx, "end", lease, string(node))
}

// read returns all that is owned. What makes no sense is left out, and counted in refused.
func (r *register) read(ctx context.Context) (v *view, refused uint64, err error) {
	a, err := r.do(ctx, "read")
	if err != nil {
		return nil, 0, err
	}
	v = newView()
	v.rev = a.rev
	for i := 0; i+1 < len(a.rest); i += 2 {
		e, err := decodeEntry(a.rest[i], a.rest[i+1])
		if err != nil {
			refused++
			continue
		}
		v.set(e)
	}
	return v, refused, nil
}
