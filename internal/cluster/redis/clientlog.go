package redis

import (
	"context"
	"fmt"
	"log/slog"

	goredis "github.com/redis/go-redis/v9"
)

// clientLog passes on what go-redis logs, which it would write to stderr. All its clients in a process
// have one logger: that of the node that was made last.
type clientLog struct{ log *slog.Logger }

func (l clientLog) use() { goredis.SetLogger(l) }

// Printf logs a line. What of it is for an operator this package says itself.
func (l clientLog) Printf(ctx context.Context, format string, v ...any) {
	l.log.DebugContext(ctx, "go-redis", slog.String("text", fmt.Sprintf(format, v...)))
}
