"""moto's server without what each request costs and no test asks for: a third of its time."""

import logging
from functools import cache

from moto import backends
from moto.core import serialize
from moto.moto_server.werkzeug_app import MotoRequestHandler
from moto.server import main

if __name__ == "__main__":
    modules = list(backends.list_of_moto_modules())
    backends.list_of_moto_modules = lambda: modules  # of a folder with two hundred
    # An object's time is read from text in each listing of it.
    read_time = cache(serialize.parse_to_aware_datetime)  # type: ignore[attr-defined]
    serialize.parse_to_aware_datetime = read_time  # type: ignore[attr-defined]
    MotoRequestHandler.protocol_version = "HTTP/1.1"  # a connection is used again
    logging.getLogger("werkzeug").setLevel(logging.ERROR)  # a line for each request
    main()
