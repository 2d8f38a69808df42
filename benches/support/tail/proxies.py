"""The contestants: each proxy as it comes, with the policy its users take against slow backends."""

CONNECTIONS_MAX = 4000


def weir(policy):
    def config(port, backends, workdir):
        addresses = ", ".join(f'"127.0.0.1:{backend}"' for backend in backends)
        text = f"""workers = [0]

[[listener]]
name = "tail"
address = "127.0.0.1:{port}"
group = "tail"

[[group]]
name = "tail"
policy = "{policy}"
backends = [{addresses}]
"""
        path = workdir / f"weir-{policy}.toml"
        path.write_text(text)
        return lambda binary: [binary, "run", "-c", path]

    return config


def haproxy(port, backends, workdir):
    servers = "\n".join(f"    server b{at} 127.0.0.1:{at}" for at in backends)
    text = f"""global
    nbthread 1
    maxconn {CONNECTIONS_MAX}
defaults
    mode http
    http-reuse always
    timeout connect 5s
    timeout client 60s
    timeout server 60s
frontend tail
    bind 127.0.0.1:{port}
    default_backend tail
backend tail
    balance leastconn
{servers}
"""
    path = workdir / "haproxy.cfg"
    path.write_text(text)
    return lambda binary: [binary, "-db", "-f", path]


def nginx(port, backends, workdir):
    servers = "\n".join(f"        server 127.0.0.1:{at};" for at in backends)
    paths = "\n".join(
        f"    {kind}_temp_path {workdir}/nginx-{kind};"
        for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    text = f"""daemon off;
worker_processes 1;
pid {workdir}/nginx.pid;
error_log stderr crit;
events {{ worker_connections {CONNECTIONS_MAX}; }}
http {{
    access_log off;
    keepalive_requests 1000000;
{paths}
    upstream tail {{
        least_conn;
{servers}
        keepalive 256;
    }}
    server {{
        listen 127.0.0.1:{port};
        location / {{
            proxy_pass http://tail;
            proxy_http_version 1.1;
            proxy_set_header Connection "";
        }}
    }}
}}
"""
    path = workdir / "nginx.conf"
    path.write_text(text)
    return lambda binary: [binary, "-c", path, "-p", workdir]


def envoy(port, backends, workdir):
    endpoints = "\n".join(
        f"      - endpoint: {{ address: {{ socket_address: "
        f"{{ address: 127.0.0.1, port_value: {at} }} }} }}"
        for at in backends
    )
    http = "envoy.extensions.filters.network.http_connection_manager.v3"
    text = f"""static_resources:
  listeners:
  - address: {{ socket_address: {{ address: 127.0.0.1, port_value: {port} }} }}
    filter_chains:
    - filters:
      - name: envoy.filters.network.http_connection_manager
        typed_config:
          "@type": type.googleapis.com/{http}.HttpConnectionManager
          stat_prefix: tail
          route_config:
            virtual_hosts:
            - name: all
              domains: ["*"]
              routes:
              - match: {{ prefix: "/" }}
                route: {{ cluster: tail, timeout: 0s }}
          http_filters:
          - name: envoy.filters.http.router
            typed_config:
              "@type": type.googleapis.com/envoy.extensions.filters.http.router.v3.Router
  clusters:
  - name: tail
    type: STATIC
    connect_timeout: 5s
    lb_policy: LEAST_REQUEST
    load_assignment:
      cluster_name: tail
      endpoints:
      - lb_endpoints:
{endpoints}
"""
    path = workdir / "envoy.yaml"
    path.write_text(text)
    return lambda binary: [
        binary, "-c", path, "--concurrency", "1", "--use-dynamic-base-id", "-l", "error"
    ]
