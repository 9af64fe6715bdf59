"""The pushes of FMex's page as they are written, to be held against rows: the other way round than `decode`."""

from msgspec import Raw, Struct
from msgspec.structs import fields

from recorder.model import AccountUpdate, OrderUpdate, PositionUpdate, Update
from recorder.venues.base import Form
from recorder.venues.fmex.objects import AccountObject, OrderObject, PositionObject

_PLACES: dict[object, str] = {Raw: "%s", str: '"%s"', str | None: '"%s"'}


def _form(name: str, struct: type[Struct], record: type[Update]) -> Form:
    inner = ",".join(f'"{field.name}":{_PLACES.get(field.type, "%d")}' for field in fields(struct))
    # A record begins with the time of push, which stands last in a frame, and ends with what nobody knows.
    told = record._fields[1:-1]
    return Form(f'{{"type":"%s","{name}":{{{inner}}},"ts":%d}}', (*told, "ts"))


FORMS: dict[type[Update], Form] = {
    AccountUpdate: _form("account", AccountObject, AccountUpdate),
    OrderUpdate: _form("order", OrderObject, OrderUpdate),
    PositionUpdate: _form("position", PositionObject, PositionUpdate),
}
