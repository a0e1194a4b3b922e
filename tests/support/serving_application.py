"""A WSGI application that answers from a SavedModel, in the form of TensorFlow Serving's REST interface.

python serving_application.py DIRECTORY      prints its address, and serves until it is ended
"""

import json
import sys
from wsgiref.simple_server import WSGIRequestHandler, make_server

import tensorflow as tf


class Silent(WSGIRequestHandler):
    def log_message(self, *args):
        pass


def application(directory):
    """The WSGI callable of the model in a directory."""
    model = tf.saved_model.load(directory)

    def answer(environ, start_response):
        asked = json.loads(environ["wsgi.input"].read(int(environ["CONTENT_LENGTH"])))
        found = model.serve(tf.constant(asked["instances"], tf.float32)).numpy()
        imported = sorted({name.split(".")[0] for name in sys.modules})
        start_response("200 OK", [("Content-Type", "application/json")])
        return [json.dumps({"predictions": found.tolist(), "imported": imported}).encode()]

    return answer


if __name__ == "__main__":
    with make_server("127.0.0.1", 0, application(sys.argv[1]), handler_class=Silent) as server:
        print(f"http://127.0.0.1:{server.server_port}/", flush=True)
        server.serve_forever()
