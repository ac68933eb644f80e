"""What clients send, as bytes: each dialogue goes to Redis itself and through Valkeeper, and has to come back the same.

A dialogue is a list of parts that are sent one after the other; `LOGIN` stands for an AUTH whose password only the direct
connection has to know.
"""

from proxy.resp import encode

__all__ = ["AFTER_LOGIN", "BEFORE_LOGIN", "HOME", "LOGIN"]

LOGIN = object()


def c(*words):
    """A command as clients send it."""
    return encode([word if isinstance(word, bytes) else str(word).encode() for word in words])


_FRAMING = {
    "an inline command": b"PING\r\n",
    "an inline command without a carriage return": b"PING\n",
    "small letters": b"ping\r\n",
    "spaces around": b"   PING   \r\n",
    "tabs": b"\tECHO\thi\t\r\n",
    "double quotes": b'ECHO "a b\\x41\\n\\t"\r\n',
    "single quotes": b"ECHO 'a b\\'c'\r\n",
    "empty quotes": b'ECHO ""\r\n',
    "quotes that don't balance": b'ECHO "abc\r\n',
    "a quote inside a word": b'ECHO a"b\r\n',
    "something behind a closing quote": b'ECHO "a"b\r\n',
    "a NUL byte in quotes": b'ECHO "a\\x00b"\r\n',
    "bytes that are not UTF-8": b"ECHO \xff\xfe\r\n",
    "empty lines": b"\r\n\r\n\nPING\r\n",
    "an empty array": b"*0\r\nPING\r\n",
    "a negative array": b"*-1\r\nPING\r\n",
    "a very negative array": b"*-2147483648\r\nPING\r\n",
    "an array's length with a sign": b"*+1\r\n$4\r\nPING\r\n",
    "an array's length with a leading zero": b"*01\r\n$4\r\nPING\r\n",
    "an array's length with a space": b"* 1\r\n$4\r\nPING\r\n",
    "an array's length that is no number": b"*x\r\n",
    "an array's length that is missing": b"*\r\n",
    "an array that is too long": b"*2147483648\r\n",
    "an array's length beyond 64 bits": b"*99999999999999999999\r\n",
    "a string's length that is no number": b"*1\r\n$x\r\n",
    "a negative string": b"*1\r\n$-1\r\n",
    "a string that is too long": b"*1\r\n$536870913\r\n",
    "a string's length beyond 64 bits": b"*1\r\n$99999999999999999999\r\n",
    "no string where one has to be": b"*1\r\n+PING\r\n",
    "an integer where a string has to be": b"*2\r\n$4\r\nECHO\r\n:1\r\n",
    "no string later on": b"*2\r\n$4\r\nECHO\r\nPING\r\n",
    "a name of nothing": b"*1\r\n$0\r\n\r\n",
    "arguments of nothing": c("ECHO", ""),
    "binary arguments": c("ECHO", bytes(range(256))),
    "line ends in an argument": c("ECHO", "\r\n*1\r\n$4\r\nPING\r\n"),
    "no line end behind a string": b"*1\r\n$4\r\nPINGxxPING\r\n",
    "an unknown command": c("NOSUCH", "a", "b"),
    "an unknown command with line ends": c("NO\r\nSUCH", "a\r\nb"),
    "a long unknown command": c("N" * 300, "a" * 300),
    "too few arguments": c("GET"),
    "too many arguments": c("GET", "a", "b"),
    "an unknown subcommand": c("CLIENT", "NOSUCH"),
    "inline and array in turns": b"PING\r\n" + c("PING") + b"ECHO a\r\n" + c("ECHO", "b"),
    "a GET of HTTP": b"GET / HTTP/1.1\r\n",
    "a POST": b"POST / HTTP/1.1\r\nHost: x\r\n\r\n",
    "a Host line": b"Host: x\r\n",
    "host as a command": c("host:", "x"),
    "post as a command": c("POST", "/"),
    "an inline command of 70000 bytes": b"ECHO " + b"x" * 70_000 + b"\r\n",
    "an inline command without end": b"E" * 70_000,
    "an array's length without end": b"*" + b"1" * 70_000,
    "a string's length without end": b"*1\r\n$" + b"1" * 70_000,
}

_LOGINS = {
    "AUTH without arguments": c("AUTH"),
    "AUTH with too many": c("AUTH", "a", "b", "c"),
    "AUTH as nobody": c("AUTH", "nobody", "x"),
    "AUTH with a password alone": c("AUTH", "x"),
    "AUTH as a user that is off": c("AUTH", "default", "x"),
    "AUTH as another user, wrongly": c("AUTH", "legacy", "x"),
    "AUTH as another user": c("AUTH", "legacy", "legacy-password") + c("ACL", "WHOAMI"),
    "AUTH as another user, inline": b"auth legacy legacy-password\r\nacl whoami\r\n",
    "AUTH with a name of nothing": c("AUTH", "", "x"),
    "AUTH with strange bytes": c("AUTH", b"\xff\0\r\n", b"\xfe"),
    "HELLO": c("HELLO"),
    "HELLO 2": c("HELLO", 2),
    "HELLO 3": c("HELLO", 3),
    "HELLO 1": c("HELLO", 1),
    "HELLO 4": c("HELLO", 4),
    "HELLO -3": c("HELLO", -3),
    "HELLO 3.0": c("HELLO", "3.0"),
    "HELLO with a word": c("HELLO", "three"),
    "HELLO 3 with half an AUTH": c("HELLO", 3, "AUTH", "legacy"),
    "HELLO 3 with half a SETNAME": c("HELLO", 3, "SETNAME"),
    "HELLO 3 with something else": c("HELLO", 3, "NOSUCH", "x"),
    "HELLO 3 with a name": c("HELLO", 3, "SETNAME", "me") + c("CLIENT", "GETNAME"),
    "HELLO 3 with a bad name": c("HELLO", 3, "SETNAME", "a b"),
    "HELLO 3 as another user": c("HELLO", 3, "AUTH", "legacy", "legacy-password") + c("ACL", "WHOAMI"),
    "HELLO 2 as another user, with a name": c(
        "HELLO", 2, "SETNAME", "me", "AUTH", "legacy", "legacy-password"
    )
    + c("CLIENT", "GETNAME"),
    "HELLO 3 as another user, wrongly": c("HELLO", 3, "AUTH", "legacy", "x") + c("ACL", "WHOAMI"),
    "HELLO 3 with two AUTH": c("HELLO", 3, "AUTH", "legacy", "x", "AUTH", "legacy", "legacy-password")
    + c("ACL", "WHOAMI"),
    "HELLO 9 as another user": c("HELLO", 9, "AUTH", "legacy", "legacy-password") + c("ACL", "WHOAMI"),
    "RESET": c("RESET") + c("PING"),
    "RESET with an argument": c("RESET", "x"),
    "QUIT": c("QUIT"),
    "QUIT and more": c("QUIT") + c("PING"),
    "QUIT inline": b"quit\r\n",
    "PING": c("PING"),
    "PING with an argument": c("PING", "x"),
    "COMMAND": c("COMMAND", "COUNT"),
}

BEFORE_LOGIN = {**_FRAMING, **_LOGINS}
"""By what it is about: what a client says first, and no login of a managed user is among it."""

_SESSIONS = {
    "a login again": [c("AUTH", "legacy", "legacy-password"), LOGIN, c("ACL", "WHOAMI")],
    "a failing login keeps the user": [c("AUTH", "legacy", "x"), c("ACL", "WHOAMI")],
    "a login in a transaction": [
        c("MULTI"), c("SET", "k", 1), c("AUTH", "legacy", "legacy-password"), c("ACL", "WHOAMI"), c("EXEC"),
        c("ACL", "WHOAMI"),
    ],
    "a failing login in a transaction": [c("MULTI"), c("AUTH", "legacy", "x"), c("EXEC")],
    "HELLO in a transaction": [c("MULTI"), c("HELLO", 3), c("PING"), c("EXEC"), c("PING")],
    "RESET in a transaction": [c("MULTI"), c("SET", "k", 1), c("RESET"), c("GET", "k"), LOGIN, c("GET", "k")],
    "RESET and login": [c("RESET"), c("PING"), LOGIN, c("PING")],
    "HELLO as another user, with something else behind": [
        c("HELLO", 2, "AUTH", "legacy", "legacy-password", "WHAT"), c("ACL", "WHOAMI"),
    ],
    "HELLO as another user, with a bad name before": [
        c("HELLO", 2, "SETNAME", "a b", "AUTH", "legacy", "legacy-password"), c("ACL", "WHOAMI"),
    ],
    "HELLO as another user, with a bad name behind": [
        c("HELLO", 2, "AUTH", "legacy", "legacy-password", "SETNAME", "a b"), c("ACL", "WHOAMI"),
    ],
    "a vertical tab inside a word": [b"ECHO a\vb\fc\r\n"],
    "a vertical tab between words": [b'\v\fECHO "a"\v\r\n'],
    "an array's length below 64 bits": [b"*-9223372036854775808\r\n"],
    "an array's length far below 64 bits": [b"*-9223372036854775809\r\n"],
    "a name with a NUL": [c("NO\0SUCH", "a"), c("ECHO", "a")],
    "RESET of RESP3": [c("HELLO", 3), c("RESET"), LOGIN, c("HGETALL", "none")],
    "RESET of a selected database": [c("SELECT", 3), c("RESET"), LOGIN, c("SET", "k", 1), c("CLIENT", "GETNAME")],
    "QUIT in a transaction": [c("MULTI"), c("QUIT"), c("EXEC")],
    "MULTI, EXEC": [c("MULTI"), c("SET", "k", 1), c("INCR", "k"), c("EXEC")],
    "MULTI, DISCARD": [c("MULTI"), c("SET", "k", 1), c("DISCARD"), c("GET", "k")],
    "MULTI in MULTI": [c("MULTI"), c("MULTI"), c("EXEC")],
    "EXEC alone": [c("EXEC")],
    "EXEC after an error": [c("MULTI"), c("NOSUCH"), c("SET", "k", 1), c("EXEC")],
    "EXEC with an error inside": [c("SET", "k", "a"), c("MULTI"), c("INCR", "k"), c("GET", "k"), c("EXEC")],
    "WATCH": [c("WATCH", "k"), c("SET", "k", 1), c("MULTI"), c("GET", "k"), c("EXEC")],
    "WATCH, UNWATCH": [c("WATCH", "k"), c("SET", "k", 1), c("UNWATCH"), c("MULTI"), c("GET", "k"), c("EXEC")],
    "WATCH in MULTI": [c("MULTI"), c("WATCH", "k"), c("EXEC")],
    "SUBSCRIBE": [c("SUBSCRIBE", "a", "b"), c("PING"), c("UNSUBSCRIBE"), c("PING")],
    "SUBSCRIBE and what is not allowed": [c("SUBSCRIBE", "a"), c("GET", "k"), c("UNSUBSCRIBE", "a"), c("GET", "k")],
    "SUBSCRIBE and a login": [c("SUBSCRIBE", "a"), LOGIN, c("UNSUBSCRIBE")],
    "SUBSCRIBE and RESET": [c("SUBSCRIBE", "a"), c("RESET"), LOGIN, c("PING")],
    "SUBSCRIBE and QUIT": [c("SUBSCRIBE", "a"), c("QUIT")],
    "SUBSCRIBE by RESP3": [c("HELLO", 3), c("SUBSCRIBE", "a"), c("PUBLISH", "a", "x"), c("GET", "k"), c("UNSUBSCRIBE")],
    "PSUBSCRIBE by RESP3": [c("HELLO", 3), c("PSUBSCRIBE", "a*"), c("PUBLISH", "ab", "x"), c("PUNSUBSCRIBE")],
    "SSUBSCRIBE by RESP3": [c("HELLO", 3), c("SSUBSCRIBE", "a"), c("SPUBLISH", "a", "x"), c("SUNSUBSCRIBE")],
    "a login by RESP3 while subscribed": [c("HELLO", 3), c("SUBSCRIBE", "a"), LOGIN, c("PUBLISH", "a", "x")],
    "CLIENT TRACKING": [c("HELLO", 3), c("CLIENT", "TRACKING", "on"), c("GET", "k"), c("SET", "k", 1), c("GET", "k")],
    "CLIENT REPLY SKIP": [c("CLIENT", "REPLY", "SKIP"), c("PING"), c("ECHO", "a")],
    "CLIENT REPLY OFF and ON": [c("CLIENT", "REPLY", "OFF"), c("PING"), c("CLIENT", "REPLY", "ON"), c("ECHO", "a")],
    "CLIENT REPLY OFF and a login": [c("CLIENT", "REPLY", "OFF"), LOGIN, c("CLIENT", "REPLY", "ON"), c("ACL", "WHOAMI")],
    "CLIENT SETNAME": [c("CLIENT", "SETNAME", "me"), c("CLIENT", "GETNAME")],
    "CLIENT NO-EVICT": [c("CLIENT", "NO-EVICT", "on")],
    "CLIENT SETINFO": [c("CLIENT", "SETINFO", "LIB-NAME", "x"), c("CLIENT", "SETINFO", "LIB-VER", "a b")],
    "BLPOP of something": [c("RPUSH", "l", "a"), c("BLPOP", "l", 0)],
    "BLPOP of nothing": [c("BLPOP", "l", "0.05"), c("PING")],
    "BLPOP in MULTI": [c("MULTI"), c("BLPOP", "l", 0), c("EXEC")],
    "a pipeline behind BLPOP": [c("BLPOP", "l", "0.05") + c("PING") + c("ECHO", "a")],
    "WAIT": [c("SET", "k", 1), c("WAIT", 0, 0)],
    "SCAN": [c("MSET", "a", 1), c("SCAN", 0)],
    "SELECT": [c("SELECT", 1), c("SET", "k", 1), c("SELECT", 0), c("GET", "k"), c("SELECT", 99)],
    "a script": [c("EVAL", "return {1,'a',redis.error_reply('E x'),redis.status_reply('S'),false}", 0)],
    "a failing script": [c("EVAL", "return redis.call('NOSUCH')", 0)],
    "a function": [
        c("FUNCTION", "LOAD", "REPLACE", "#!lua name=d\nredis.register_function('d', function() return 1 end)"),
        c("FCALL", "d", 0), c("FUNCTION", "DELETE", "d"),
    ],
    "MONITOR is read until the end": [c("MONITOR"), c("QUIT")],
    "OBJECT": [c("SET", "k", 1), c("OBJECT", "ENCODING", "k"), c("OBJECT", "HELP")],
    "a large value": [c("SET", "k", "x" * 300_000), c("GET", "k"), c("STRLEN", "k")],
    "many small commands": [c("SET", "k", 1) * 500 + c("INCR", "k") * 500],
    "many arguments": [c("RPUSH", "l", *range(2000)), c("LRANGE", "l", 0, -1)],
    "nested replies": [c("COMMAND", "INFO", "get", "nosuch")],
    "MEMORY DOCTOR": [c("MEMORY", "NOSUCH")],
    "ACL WHOAMI": [c("ACL", "WHOAMI")],
    "a command that is denied": [c("ACL", "SETUSER", "limited", "on", ">p", "+ping", "+acl|whoami"),
        c("AUTH", "limited", "p"), c("GET", "k"), c("PING"), LOGIN, c("ACL", "DELUSER", "limited")],
    "SHUTDOWN with nonsense": [c("SHUTDOWN", "NOSUCH")],
    "ASKING, READONLY": [c("READONLY"), c("ASKING"), c("READWRITE")],
}  # fmt: skip

_TYPES = {
    "a string": "return 'a'",
    "a status": "return redis.status_reply('a')",
    "an error": "return redis.error_reply('ERR a')",
    "an integer": "return 7",
    "nothing": "return false",
    "an array": "return {1, {2, {3}}}",
    "a map": "redis.setresp(3); return {map={a=1}}",
    "a set": "redis.setresp(3); return {set={a=true}}",
    "a double": "redis.setresp(3); return {double=1.5}",
    "an infinite double": "redis.setresp(3); return {double=1/0}",
    "true": "redis.setresp(3); return true",
    "a big number": "redis.setresp(3); return {big_number='12345678901234567890'}",
    "a verbatim string": "redis.setresp(3); return {verbatim_string={format='txt', string='a'}}",
}

# Those that no script can make. Redis 7.0 itself has no command that answers with a blob error.
_PROTOCOL = ("attrib", "push", "double", "null", "array", "set", "map", "verbatim", "true", "false", "bignum")

AFTER_LOGIN = {
    **{f"{name}, logged in": [part] for name, part in _FRAMING.items()},
    **{f"{name}, logged in": [part] for name, part in _LOGINS.items()},
    **_SESSIONS,
    **{f"{name} by RESP2": [c("EVAL", script, 0)] for name, script in _TYPES.items()},
    **{f"{name} by RESP3": [c("HELLO", 3), c("EVAL", script, 0)] for name, script in _TYPES.items()},
    **{
        f"{name} of DEBUG": [c("DEBUG", "PROTOCOL", name), c("HELLO", 3), c("DEBUG", "PROTOCOL", name)]
        for name in _PROTOCOL
    },
    **{
        f"{name} among replies": [
            c("HELLO", 3),
            c("GET", "k") + c("DEBUG", "PROTOCOL", name) + c("ECHO", "a") * 3,
        ]
        for name in ("attrib", "push", "map")
    },
}
"""By what it is about: the parts of a dialogue of the managed user `app`, who has just logged in."""

HOME = [c("DISCARD"), c("UNSUBSCRIBE"), c("PUNSUBSCRIBE"), c("DISCARD"), c("CLIENT", "REPLY", "ON")]
"""Out of whatever state a dialogue has led to, so that its end is answered."""
