package admin

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// Server is the admin HTTP server.
type Server struct {
	// Static after construction.
	log  *slog.Logger
	http *http.Server

	// Written by Start alone.
	listener net.Listener
	served   chan struct{} // closed when the server has ended
}

// New returns a server that does not listen yet.
func New(src Source, log *slog.Logger) *Server {
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", promhttp.HandlerFor(registry(src), promhttp.HandlerOpts{
		ErrorLog: slog.NewLogLogger(log.Handler(), slog.LevelError),
	}))
	mux.HandleFunc("GET /livez", func(w http.ResponseWriter, _ *http.Request) {
		answer(w, http.StatusOK, "ok")
	})
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, _ *http.Request) {
		if src.Ready() {
			answer(w, http.StatusOK, "ok")
		} else {
			answer(w, http.StatusServiceUnavailable, "not ready")
		}
	})
	mux.Handle("POST /reload", reloader{src.Reload, log})
	return &Server{
		log: log,
		http: &http.Server{
			Handler:           mux,
			ReadHeaderTimeout: 5 * time.Second,
			ReadTimeout:       10 * time.Second,
			WriteTimeout:      30 * time.Second,
			IdleTimeout:       2 * time.Minute,
			MaxHeaderBytes:    16 << 10,
			ErrorLog:          slog.NewLogLogger(log.Handler(), slog.LevelDebug),
		},
		served: make(chan struct{}),
	}
}

// Start listens on a TCP address and serves until Shutdown. It is called once,
// before any other method.
func (s *Server) Start(listen string) error {
	listener, err := net.Listen("tcp", listen)
	if err != nil {
		return fmt.Errorf("starting the admin server: %w", err)
	}
	s.listener = listener
	go func() {
		defer close(s.served)
		if err := s.http.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
			s.log.Error("serving admin", "error", err)
		}
	}()
	return nil
}

// Addr returns the address that the server listens on; nil if it could not.
func (s *Server) Addr() net.Addr {
	if s.listener == nil {
		return nil
	}
	return s.listener.Addr()
}

// Shutdown stops listening and waits for running requests until ctx ends; then
// it cuts them. It is called once.
func (s *Server) Shutdown(ctx context.Context) error {
	err := s.http.Shutdown(ctx)
	if err != nil {
		err = errors.Join(fmt.Errorf("stopping the admin server: %w", err), s.http.Close())
	}
	<-s.served
	return err
}

// answer writes a one-line answer.
func answer(w http.ResponseWriter, status int, text string) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	// Who asked is gone if this fails; there is nobody to tell.
	_, _ = io.WriteString(w, text+"\n")
}
