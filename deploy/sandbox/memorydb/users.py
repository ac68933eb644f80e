"""The calls that change users and ACLs, and what they set going."""

import re
from collections.abc import Mapping
from typing import Any

from deploy.sandbox.acl import DEFAULT_USER, Login, access_string_problem, password_problem
from deploy.sandbox.memorydb.account import OPEN_ACCESS, Account, MemoryDBError, reconcile
from deploy.sandbox.memorydb.records import AccessControlList, User

__all__ = ["UserCalls"]

_NAME = re.compile(r"[a-zA-Z][a-zA-Z0-9-]{0,39}")


class UserCalls(Account):
    """Users and ACLs: a change holds once the record is active again."""

    def create_account_user(self, params: Mapping[str, Any]) -> dict[str, Any]:
        """CreateUser: the name is the id."""
        name = params["UserName"]
        if not _NAME.fullmatch(name):
            raise MemoryDBError("InvalidParameterValueException", "The user name is not valid.")
        if name in self.account_users:
            raise MemoryDBError("UserAlreadyExistsFault", f"User {name} already exists.")
        login = _asked_login(params, None)
        user = User(self.arn("user", name), name, login, login)
        self.account_users[name] = user
        self.tag_new(user.arn, params)
        return self.show_user(user)

    def update_account_user(self, params: Mapping[str, Any]) -> dict[str, Any]:
        """UpdateUser: the servers keep the old login until the user is active again."""
        user = self._active_user(params["UserName"])
        user.login = _asked_login(params, user.login)
        user.changes.append(user.login)
        user.status = "modifying"

        def take_effect() -> None:
            with self.world.lock:
                user.in_force = user.login
                reached = self.reached_by([user.name])
            reconcile(reached)
            with self.world.lock:
                user.status = "active"

        self.world.timeline.later(take_effect)
        return self.show_user(user)

    def delete_account_user(self, name: str) -> dict[str, Any]:
        """DeleteUser: takes the user out of its ACLs, too."""
        user = self._active_user(name)
        user.status = "deleting"

        def take_effect() -> None:
            with self.world.lock:
                reached = self.reached_by([user.name])
                for acl in self.acls.values():
                    acl.user_names = [member for member in acl.user_names if member != user.name]
                del self.account_users[user.name]
                self.tags.pop(user.arn, None)
            reconcile(reached)

        self.world.timeline.later(take_effect)
        return self.show_user(user)

    def create_acl(self, params: Mapping[str, Any]) -> dict[str, Any]:
        """CreateACL."""
        name, members = params["ACLName"].lower(), list(params.get("UserNames") or ())
        if name in self.acls:
            raise MemoryDBError("ACLAlreadyExistsFault", f"ACL {name} already exists.")
        self._check_members(members)
        acl = AccessControlList(self.arn("acl", name), name, members)
        self.acls[name] = acl
        self.tag_new(acl.arn, params)
        return self.show_acl(acl)

    def update_acl(self, params: Mapping[str, Any]) -> dict[str, Any]:
        """UpdateACL: a user that is taken out loses its connections when the change is through."""
        acl = self._active_acl(params["ACLName"])
        adding = list(params.get("UserNamesToAdd") or ())
        removing = list(params.get("UserNamesToRemove") or ())
        if not adding and not removing:
            raise MemoryDBError(
                "InvalidParameterCombinationException", "Nothing to add and nothing to remove."
            )
        if unknown := set(removing) - set(acl.user_names):
            raise MemoryDBError("UserNotFoundFault", f"User {min(unknown)} is not in the ACL.")
        members = [name for name in acl.user_names if name not in removing] + adding
        self._check_members(members)
        acl.status, acl.adding, acl.removing = "modifying", adding, removing

        def take_effect() -> None:
            with self.world.lock:
                # A user may have been deleted meanwhile.
                acl.user_names = [name for name in members if name in self.account_users]
                reached = self.reached_by(acl_names=[acl.name])
            reconcile(reached)
            with self.world.lock:
                acl.status, acl.adding, acl.removing = "active", [], []

        self.world.timeline.later(take_effect)
        return self.show_acl(acl)

    def delete_acl(self, name: str) -> dict[str, Any]:
        """DeleteACL: only when no cluster uses it."""
        acl = self._active_acl(name)
        if self.reached_by(acl_names=[acl.name]):
            raise MemoryDBError("InvalidACLStateFault", f"ACL {acl.name} is in use by a cluster.")
        acl.status = "deleting"

        def take_effect() -> None:
            with self.world.lock:
                del self.acls[acl.name]
                self.tags.pop(acl.arn, None)

        self.world.timeline.later(take_effect)
        return self.show_acl(acl)

    def _active_user(self, name: str) -> User:
        user = self.user(name)
        if user.name == DEFAULT_USER:
            raise MemoryDBError("InvalidParameterValueException", "The user default cannot be changed.")
        if user.status != "active":
            raise MemoryDBError("InvalidUserStateFault", f"User {name} is {user.status}, not active.")
        return user

    def _active_acl(self, name: str) -> AccessControlList:
        acl = self.acl(name)
        if acl.name == OPEN_ACCESS:
            raise MemoryDBError("InvalidParameterValueException", "The ACL open-access cannot be changed.")
        if acl.status != "active":
            raise MemoryDBError("InvalidACLStateFault", f"ACL {acl.name} is {acl.status}, not active.")
        return acl

    def _check_members(self, names: list[str]) -> None:
        for name in names:
            self.user(name)
        if len(set(names)) < len(names):
            raise MemoryDBError("DuplicateUserNameFault", "A user is in an ACL once.")


def _asked_login(params: Mapping[str, Any], held: Login | None) -> Login:
    access_string = params.get("AccessString") or (held.access_string if held else "")
    if not access_string:
        raise MemoryDBError("InvalidParameterValueException", "AccessString is missing.")
    if word := access_string_problem(access_string):
        raise MemoryDBError(
            "InvalidParameterValueException", f"Access string has an invalid rule: {word.split('>')[0]}"
        )
    mode = params.get("AuthenticationMode")
    if mode is None and held is not None:
        return Login(access_string, held.authentication, held.passwords)
    kind, passwords = (mode or {}).get("Type"), tuple((mode or {}).get("Passwords") or ())
    if kind == "iam" and passwords:
        raise MemoryDBError("InvalidParameterCombinationException", "An IAM user has no passwords.")
    if kind == "iam":
        return Login(access_string, "iam")
    if kind != "password" or not passwords:
        raise MemoryDBError(
            "InvalidParameterValueException",
            "AuthenticationMode needs the Type iam, or password and Passwords.",
        )
    if problem := password_problem(passwords):
        raise MemoryDBError("InvalidParameterValueException", problem)
    return Login(access_string, "password", passwords)
