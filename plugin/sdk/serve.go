package sdk

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"math"
	"os"
	"sync"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/go-plugin"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/polywire/polywire/core"
	"github.com/polywire/polywire/plugin/codecpb"
	"github.com/polywire/polywire/plugin/contract"
)

// window is how many bytes may be in flight in one direction before gRPC waits for the
// reader: the four messages that the host sends ahead fit.
const window = 4 << 20

// bufferSize is how much is read from or written to the host's socket at once: a whole
// message under load.
const bufferSize = 128 << 10

// Serve serves p until the broker ends the process. It does not return. A process that
// was not started by a broker says what it is and ends with status 1.
func Serve(p core.Protocol) {
	// go-plugin will replace os.Stderr; this is the real one.
	slog.SetDefault(slog.New(slog.NewJSONHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelDebug})))
	buffers := new(contract.Buffers)
	s := &service{protocol: p, buffers: buffers, ended: make(chan struct{})}
	go plugin.Serve(&plugin.ServeConfig{
		HandshakeConfig: contract.Handshake(),
		Plugins:         plugin.PluginSet{contract.Name: s},
		GRPCServer: func(options []grpc.ServerOption) *grpc.Server {
			return grpc.NewServer(append(options,
				grpc.ForceServerCodecV2(contract.GRPCCodec(buffers)),
				grpc.MaxRecvMsgSize(math.MaxInt32), grpc.MaxSendMsgSize(math.MaxInt32),
				grpc.InitialWindowSize(window), grpc.InitialConnWindowSize(window),
				grpc.ReadBufferSize(bufferSize), grpc.WriteBufferSize(bufferSize),
			)...)
		},
		Logger: hclog.New(&hclog.LoggerOptions{Level: hclog.Warn, Output: os.Stderr, JSONFormat: true}),
	})
	// go-plugin ends the process when the host asks it to; but the host may be gone.
	<-s.ended
	os.Exit(0)
}

// service is the plugin's side of the contract.
type service struct {
	plugin.NetRPCUnsupportedPlugin
	codecpb.UnimplementedCodecServer

	// Static after construction.
	protocol core.Protocol
	buffers  *contract.Buffers
	ended    chan struct{} // closed when the stream has ended

	// Guarded by mu.
	mu     sync.Mutex
	format core.Format // nil until it was described
}

var (
	_ plugin.GRPCPlugin   = (*service)(nil)
	_ codecpb.CodecServer = (*service)(nil)
)

// GRPCServer registers the service with go-plugin's server.
func (s *service) GRPCServer(_ *plugin.GRPCBroker, server *grpc.Server) error {
	codecpb.RegisterCodecServer(server, s)
	return nil
}

// GRPCClient fails: the client is the host's side.
func (s *service) GRPCClient(context.Context, *plugin.GRPCBroker, *grpc.ClientConn) (any, error) {
	return nil, errors.New("a plugin is no host")
}

// Translate answers the questions about all connections until the host ends the
// stream; then the process has no more to do.
func (s *service) Translate(stream grpc.BidiStreamingServer[codecpb.Questions, codecpb.Answers]) error {
	format, err := s.described()
	if err != nil {
		return err
	}
	defer close(s.ended)
	t := newTranslator(format, s.buffers)
	for {
		var in contract.Packet
		if err := stream.RecvMsg(&in); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return err
		}
		answers, err := t.answer(in.Bytes)
		in.Free()
		if err != nil {
			slog.Error("the host asks what cannot be understood", "error", err)
			return status.Error(codes.InvalidArgument, err.Error())
		}
		if err := stream.SendMsg(&contract.Packet{Bytes: answers, Spent: true}); err != nil {
			return err
		}
	}
}

// described returns the format that Describe has made.
func (s *service) described() (core.Format, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.format == nil {
		return nil, status.Error(codes.FailedPrecondition, "nothing was described yet: call Describe first")
	}
	return s.format, nil
}
