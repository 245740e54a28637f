"""A bookkeeping API on Django REST framework, in one file, for the tests: `python drf_app.py --port 0`.

POST /claims                 one expense claim: 201 {"reference": …, "claim_number": …}
POST /claims/batch           {"items": [claim, …]}: 201 {"results": [{"reference": …}, …]}, or 400 for all
POST /claims/batch-array     the same with a bare array
POST /claims/json-api        a JSON:API document with one claim, written and answered by djangorestframework-jsonapi
POST /claims/batch-results   {"items": [claim, …]}: 207, each claim judged by itself
GET  /health                 200
GET  /_log                   every booking
POST /_behaviour             see peer_books.Behaviour

With ?standardized=1 errors are written by drf-standardized-errors, otherwise by the framework itself. With PEER_TOKEN
set, everything but /_log and /_behaviour needs it as a bearer token.
"""

import argparse
import json
import os
import socket
import sys

import django
from django.conf import settings

settings.configure(
    ALLOWED_HOSTS=["127.0.0.1", "localhost"],
    DEBUG=False,
    INSTALLED_APPS=["django.contrib.contenttypes", "django.contrib.auth", "rest_framework", "drf_standardized_errors"],
    LOGGING_CONFIG=None,
    MIDDLEWARE=["__main__.faults"] if __name__ == "__main__" else ["drf_app.faults"],
    REST_FRAMEWORK={
        "DEFAULT_AUTHENTICATION_CLASSES": [],
        "DEFAULT_PARSER_CLASSES": ["rest_framework.parsers.JSONParser"],
        "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
        "EXCEPTION_HANDLER": f"{__name__}.explain",
        "UNAUTHENTICATED_USER": None,
    },
    ROOT_URLCONF=__name__,
    SECRET_KEY="only-for-tests",
    USE_TZ=True,
)
django.setup()

from django.core.servers.basehttp import ThreadedWSGIServer, WSGIRequestHandler  # noqa: E402
from django.core.wsgi import get_wsgi_application  # noqa: E402
from django.http import HttpResponse, JsonResponse  # noqa: E402
from django.urls import path  # noqa: E402
from django.views.decorators.csrf import csrf_exempt  # noqa: E402
from drf_standardized_errors.handler import exception_handler as standardized  # noqa: E402
from rest_framework import serializers  # noqa: E402
from rest_framework.generics import GenericAPIView  # noqa: E402
from rest_framework.response import Response  # noqa: E402
from rest_framework.views import APIView, exception_handler  # noqa: E402
from rest_framework_json_api.exceptions import exception_handler as json_api  # noqa: E402
from rest_framework_json_api.parsers import JSONParser as JsonApiParser  # noqa: E402
from rest_framework_json_api.renderers import JSONRenderer as JsonApiRenderer  # noqa: E402

from peer_books import (  # noqa: E402
    ACCOUNTS,
    CLOSED_PERIODS,
    COST_CENTERS,
    CURRENCIES,
    Behaviour,
    Books,
    body_hash,
    sleep_ms,
)

books = Books()
behaviour = Behaviour()


def explain(error, context):
    if isinstance(context["view"], JsonApiClaims):
        return json_api(error, context)
    chosen = standardized if context["request"].query_params.get("standardized") == "1" else exception_handler
    return chosen(error, context)


class Strict(serializers.Serializer):
    """Refuses members it doesn't know."""

    def to_internal_value(self, data):
        value = super().to_internal_value(data)
        unknown = set(data) - set(self.fields)
        if unknown:
            raise serializers.ValidationError({name: ["Unknown field."] for name in sorted(unknown)}, code="unknown")
        return value


class LineSerializer(Strict):
    account = serializers.CharField()
    amount = serializers.DecimalField(max_digits=14, decimal_places=2)

    def validate_account(self, code):
        if code not in ACCOUNTS:
            raise serializers.ValidationError(f"Unknown account: {code}", code="invalid_account")
        return code


class ClaimSerializer(Strict):
    id = serializers.UUIDField(required=False, allow_null=True)
    claim_number = serializers.CharField(max_length=40)
    member = serializers.CharField(max_length=120)
    cost_center = serializers.CharField()
    amount = serializers.DecimalField(max_digits=14, decimal_places=2)
    currency = serializers.CharField()
    period = serializers.RegexField(r"^\d{4}-(0[1-9]|1[0-2])$")
    lines = LineSerializer(many=True, required=False)

    def validate_cost_center(self, code):
        if code not in COST_CENTERS:
            raise serializers.ValidationError(f"Invalid cost center code: {code}", code="invalid_cost_center")
        return code

    def validate_amount(self, amount):
        if amount <= 0:
            raise serializers.ValidationError("Ensure this value is greater than 0.", code="min_value")
        return amount

    def validate_currency(self, code):
        if code not in CURRENCIES:
            raise serializers.ValidationError(f"Unknown currency: {code}", code="invalid_currency")
        return code

    def validate_period(self, period):
        if period in CLOSED_PERIODS:
            raise serializers.ValidationError(f"Accounting period {period} is closed", code="period_closed")
        return period

    def validate(self, claim):
        lines = claim.get("lines") or []
        if lines and sum(line["amount"] for line in lines) != claim["amount"]:
            raise serializers.ValidationError("The lines do not add up to the amount.", code="sum_mismatch")
        return claim


class BatchSerializer(Strict):
    items = ClaimSerializer(many=True, allow_empty=False, max_length=1000)


def booked(request, claims):
    rows = [{**claim, "id": str(claim["id"]) if claim.get("id") else None} for claim in claims]
    references = books.book(rows, request.headers.get("Idempotency-Key"), body_hash(request._request.body))
    return [
        {"reference": reference, "claim_number": row["claim_number"]}
        for reference, row in zip(references, rows, strict=True)
    ]


class Claims(APIView):
    def post(self, request):
        serializer = ClaimSerializer(data=request.data)
        serializer.is_valid(raise_exception=True)
        return Response(booked(request, [serializer.validated_data])[0], status=201)


class JsonApiClaims(GenericAPIView):
    parser_classes = [JsonApiParser]
    renderer_classes = [JsonApiRenderer]
    resource_name = "claims"
    serializer_class = ClaimSerializer

    def post(self, request):
        claim = {name: value for name, value in request.data.items() if name != "type"}
        serializer = self.get_serializer(data=claim)
        serializer.is_valid(raise_exception=True)
        return Response(booked(request, [serializer.validated_data])[0], status=201)


class ClaimBatch(APIView):
    def post(self, request):
        serializer = BatchSerializer(data=request.data)
        serializer.is_valid(raise_exception=True)
        return Response({"results": booked(request, serializer.validated_data["items"])}, status=201)


class ClaimArray(APIView):
    def post(self, request):
        serializer = ClaimSerializer(data=request.data, many=True)
        serializer.is_valid(raise_exception=True)
        return Response({"results": booked(request, serializer.validated_data)}, status=201)


class ClaimResults(APIView):
    def post(self, request):
        results = []
        for item in request.data["items"]:
            serializer = ClaimSerializer(data=item)
            if serializer.is_valid():
                reference = booked(request, [serializer.validated_data])[0]["reference"]
                results.append({"status": 201, "id": reference})
            else:
                results.append({"status": 400, "error": serializer.errors})
        return Response({"results": results}, status=207)


@csrf_exempt
def set_behaviour(request):
    return JsonResponse(behaviour.set(json.loads(request.body)))


urlpatterns = [
    path("claims", csrf_exempt(Claims.as_view())),
    path("claims/json-api", csrf_exempt(JsonApiClaims.as_view())),
    path("claims/batch", csrf_exempt(ClaimBatch.as_view())),
    path("claims/batch-array", csrf_exempt(ClaimArray.as_view())),
    path("claims/batch-results", csrf_exempt(ClaimResults.as_view())),
    path("health", lambda request: JsonResponse({"status": "ok"})),
    path("_log", lambda request: JsonResponse(books.log())),
    path("_behaviour", set_behaviour),
]


def faults(get_response):
    """Idempotency keys, and the faults that were asked for."""
    token = os.environ.get("PEER_TOKEN")

    def reset(request):
        # Shut, not closed: the handler still holds the connection, and finds out when it writes its answer.
        request.META["peer.socket"].shutdown(socket.SHUT_RDWR)
        raise ConnectionAbortedError

    def failure(plan):
        answer = JsonResponse({"detail": "Failing on demand"}, status=plan["status"])
        if "retry_after" in plan:
            answer["Retry-After"] = str(plan["retry_after"])
        return answer

    def middleware(request):
        if request.path.startswith("/_"):
            return get_response(request)
        if token and request.headers.get("Authorization") != f"Bearer {token}":
            return JsonResponse({"detail": "Authentication credentials were not provided."}, status=401)
        if not (request.method == "POST" and request.path.startswith("/claims")):
            return get_response(request)
        plan = behaviour.next()
        body = request.body
        if plan["hold"]:
            plan["hold"].wait()
        sleep_ms(plan["delay_ms"])
        if plan.get("reset") and plan["reset_before"]:
            reset(request)
        failing = plan.get("status") is not None
        if failing and not plan.get("book_first"):
            return failure(plan)
        key, digest = request.headers.get("Idempotency-Key"), body_hash(body)
        known = books.reserve(key, digest)
        if known is None:
            answer = get_response(request)
            books.settle(key, digest, answer.status_code, answer.content, answer["Content-Type"])
        elif known["state"] == "done":
            answer = HttpResponse(known["body"], status=known["status"], content_type=known["content_type"])
        elif known["state"] == "in_progress":
            answer = JsonResponse({"detail": "A request with this key is under way"}, status=409)
        else:
            answer = JsonResponse({"detail": "This key came with another payload"}, status=422)
        sleep_ms(plan["delay_after_ms"])
        if plan.get("reset"):
            reset(request)
        return failure(plan) if failing else answer

    return middleware


class Handler(WSGIRequestHandler):
    """Hands the connection to the application, for resets, and logs nothing."""

    def get_environ(self):
        return {**super().get_environ(), "peer.socket": self.connection}

    def log_message(self, *_):
        pass


class Server(ThreadedWSGIServer):
    daemon_threads = True

    def handle_error(self, request, client_address):
        # Resets on demand end in broken connections: only other errors are worth a word.
        if not isinstance(sys.exc_info()[1], OSError | ValueError):
            super().handle_error(request, client_address)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, default=0)
    server = Server(("127.0.0.1", parser.parse_args().port), Handler)
    server.set_app(get_wsgi_application())
    print(f"ready http://127.0.0.1:{server.server_address[1]}", flush=True)
    server.serve_forever()


if __name__ == "__main__":
    main()
