# client.pl URL: a WebSocket client of Mojolicious that speaks on stdin and stdout the
# language which node/client.mjs describes.
use Mojo::Base -strict;
use Mojo::IOLoop;
use Mojo::JSON qw(decode_json encode_json);
use Mojo::UserAgent;
use Mojo::Util qw(b64_decode b64_encode);

$| = 1;
binmode STDIN;
sub say_event { print encode_json({event => @_}), "\n" }

my $ua = Mojo::UserAgent->new(max_response_size => 0, inactivity_timeout => 0);
$ua->websocket(
  $ARGV[0] => {'Sec-WebSocket-Extensions' => 'permessage-deflate'} => sub {
    my ($ua, $tx) = @_;
    if (!$tx->is_websocket) {
      say_event('error', reason => 'no WebSocket: ' . ($tx->error ? $tx->error->{message} : $tx->res->code));
      return Mojo::IOLoop->stop;
    }
    $tx->max_websocket_size(64 << 20);
    say_event('open', extensions => $tx->res->headers->header('Sec-WebSocket-Extensions') // '');
    my $message = sub {
      my ($data, $binary) = @_;
      say_event('message', data => b64_encode($data, ''), binary => $binary ? \1 : \0);
    };
    $tx->on(text   => sub { $message->($_[1], 0) });
    $tx->on(binary => sub { $message->($_[1], 1) });
    $tx->on(frame  => sub { say_event('pong') if $_[1][4] == 10 });
    $tx->on(finish => sub {
      my ($tx, $code, $reason) = @_;
      say_event('close', code => $code + 0, reason => $reason // '');
      Mojo::IOLoop->stop;
    });
    obey($tx);
  }
);

sub obey {
  my $tx = shift;
  my $orders = '';
  my $reactor = Mojo::IOLoop->singleton->reactor;
  $reactor->io(\*STDIN => sub {
    if (!sysread STDIN, $orders, 1 << 16, length $orders) {
      $reactor->remove(\*STDIN);
      return Mojo::IOLoop->stop;
    }
    while ($orders =~ s/^(.*)\n//) {
      my $order = decode_json($1);
      if    ($order->{do} eq 'send') { $tx->send({($order->{binary} ? 'binary' : 'text') => b64_decode($order->{data} // '')}) }
      elsif ($order->{do} eq 'ping') { $tx->send([1, 0, 0, 0, 9, '']) }
      else                           { $tx->finish(1000) }
    }
  })->watch(\*STDIN, 1, 0);
}

Mojo::IOLoop->start unless Mojo::IOLoop->is_running;
