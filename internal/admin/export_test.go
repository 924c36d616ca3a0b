package admin

import "time"

// SetReadTimeout sets how long a request may be read for. It is called before Start.
func (s *Server) SetReadTimeout(d time.Duration) { s.http.ReadTimeout = d }
