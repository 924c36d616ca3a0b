package admin

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"

	"github.com/polywire/polywire/core/logging"
)

// event is the message of the lines that say who has changed something, or was refused.
const event = "admin"

// audit writes a line about a change. Those who publish may do it as often as they like, so that of their lines the
// first counts and one of each minute, for each of them; what an operator does has a line each time.
func audit(log *slog.Logger, r *http.Request, c caller, need Role, what string, err error) {
	attrs := []slog.Attr{logging.Quoted("who", c.name())}
	if need&Publish != 0 {
		attrs = []slog.Attr{logging.Bounded("", "", slog.String("action", what), attrs[0])}
	} else {
		attrs = append(attrs, slog.String("action", what))
	}
	object := r.URL.Path
	if err == nil && r.URL.RawQuery != "" {
		object += "?" + r.URL.RawQuery
	}
	attrs = append(attrs, slog.String("remote", r.RemoteAddr), slog.String("role", c.role.String()), logging.Quoted("object", object))
	if err != nil {
		attrs = append(attrs, slog.String("outcome", "failed"), slog.String("why", fmt.Sprintf("%.300s", err)))
	} else {
		attrs = append(attrs, slog.String("outcome", "done"))
	}
	log.LogAttrs(context.Background(), slog.LevelInfo, event, attrs...)
}
